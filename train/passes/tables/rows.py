"""The loss over rows and its gradient with respect to the tables, by compiled loops and matrix products on threads.

The number of shards depends only on the number of rows, and shards are summed in order, so the result depends neither
on the number of threads nor on the number of models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from train.passes import kernels
from train.passes.arrays import Array, buffer, quiet
from train.passes.entries import Plan
from train.passes.threads import Map

from .tables import TableMaker, Tables

ROWS_PER_SHARD = 1000
MAX_SHARDS = 8


@dataclass(frozen=True)
class Rows:
    """Rows of a task as the kernels read them."""

    index: Int32[Array, "n n_ctx"]
    """Table entry at each position; a position with a constant token, if any, comes last."""
    source: Int32[Array, "n moving_times_heads"]
    """Rows of the table that are summed for each row: one per head and position, without the constant position."""
    query: Int32[Array, " n"]
    """Query entry of each row."""
    label: Int32[Array, " n"]

    def __len__(self) -> int:
        return len(self.label)

    def shards(self) -> "list[Rows]":
        """Pieces of at most ``ROWS_PER_SHARD`` rows, or ``MAX_SHARDS`` of them."""
        size = -(-len(self) // min(-(-len(self) // ROWS_PER_SHARD), MAX_SHARDS))
        columns = (self.index, self.source, self.query, self.label)
        return [Rows(*(c[first : first + size] for c in columns)) for first in range(0, len(self), size)]


class RowLoss:
    """Mean cross-entropy (nats) over rows, and its gradient with respect to a model's tables.

    In the layouts with "=", one position holds the same entry in every row. Since a row's attention sums to a constant,
    that entry's contribution is subtracted from all others and added to every row, which saves a position.
    """

    def __init__(self, cfg: Any, plan: Plan, maker: TableMaker) -> None:
        self.cfg, self.tokens, self.positions = cfg, maker.tokens, maker.positions
        self.n_blocks = sum(-(-width // kernels.COLUMNS) for width in (cfg.d_mlp, cfg.d_vocab_out))
        index = plan.index.to(torch.int32)
        constant = [j for j in range(index.shape[1]) if (index[:, j] == index[0, j]).all()][-1:]
        self.fixed = int(index[0, constant[0]]) if constant else None
        moving = [j for j in range(index.shape[1]) if j not in constant]
        self.index = index[:, moving + constant].contiguous()
        heads = torch.arange(cfg.n_heads, dtype=torch.int32) * len(self.tokens)
        self.source = (index[:, moving, None] + heads).flatten(1).contiguous()
        self.query = plan.query_index[:, 0].to(torch.int32)
        self.attention = cfg.attn_rate + index.shape[1] * (1 - cfg.attn_rate)
        """Sum of a row's attention over its positions, in each head."""

    def rows(self, labels: Tensor, row_numbers: Tensor) -> Rows:
        """Some rows of a task that has one answer position."""
        columns = (self.index, self.source, self.query, labels[:, 0].to(torch.int32))
        return Rows(*(column[row_numbers].numpy() for column in columns))

    @quiet
    def gradients(self, tables: Tables, shards: Sequence[Rows], into: Tables, each: Map) -> float:
        """Loss of one model over its rows; writes the gradient with respect to ``tables`` to ``into``."""
        mixed, base = self._expand(tables)
        S, share = len(shards), 1.0 / sum(map(len, shards))
        d_mixed = buffer("d_mixed", S, *mixed.shape)
        if S == 1:
            sums = Tables(d_mixed, *(out[None] for out in into[1:]))
        else:
            sums = Tables(d_mixed, *(buffer(f"d_{i}", S, *out.shape) for i, out in enumerate(into[1:])))

        def shard(s: int) -> float:
            return self._shard(tables, mixed, base, shards[s], share, Tables(*(total[s] for total in sums)))

        losses = list(each(shard, range(S)))
        if S > 1:
            for total, out in zip(sums[1:], into[1:], strict=True):
                np.sum(total, axis=0, out=out)
        self._contract(sums.parts, into, each)
        return sum(losses)

    def reader(self, tables: Tables) -> Callable[[Rows], Float32[Array, "n d_vocab_out"]]:
        """A thread-safe function from rows to logits."""
        mixed, base = (table.copy() for table in self._expand(tables))

        def logits(rows: Rows) -> Array:
            return self._forward(tables, mixed, base, rows)[3].copy()

        return logits

    # ---- tables by entry -------------------------------------------------------------------------

    def _expand(self, tables: Tables) -> tuple[Array, Array]:
        """Rows of the entries [blocks, heads * pairs, columns], and contributions of the query entries [queries, C]."""
        parts, base = tables.parts, tables.base
        mixed = buffer("mixed", self.n_blocks, self.cfg.n_heads * len(self.tokens), kernels.COLUMNS)
        less = np.zeros((parts.shape[0], parts.shape[2]), np.float32)
        if self.fixed is not None:
            less += parts[:, self.tokens[self.fixed]] + parts[:, self.positions[self.fixed]]
            base = base + np.float32(self.attention) * less.sum(axis=0)
        kernels.expand(parts, less, self.tokens, self.positions, self.cfg.d_mlp, mixed)
        return mixed, base

    def _contract(self, d_mixed: Array, into: Tables, each: Map) -> None:
        """Backward of ``_expand``: writes ``into.parts``."""
        d_parts = into.parts
        d_less = np.empty((d_parts.shape[0], d_parts.shape[2]), np.float32)

        def contract(blocks: range) -> None:
            some = (self.cfg.d_mlp, blocks[0], blocks[-1] + 1)
            kernels.contract(d_mixed, self.tokens, self.positions, *some, d_parts, d_less)

        size = self.n_blocks if each is map else 1
        list(each(contract, [range(x, min(x + size, self.n_blocks)) for x in range(0, self.n_blocks, size)]))
        if self.fixed is not None:
            d_less += np.float32(self.attention) * into.base.sum(axis=0)
            d_parts[:, self.tokens[self.fixed]] += d_less
            d_parts[:, self.positions[self.fixed]] += d_less

    # ---- rows ------------------------------------------------------------------------------------

    def _forward(self, tables: Tables, mixed: Array, base: Array, rows: Rows) -> tuple[Array, Array, Array, Array]:
        """Softmax, attention, hidden units and logits of the rows."""
        n, cfg = len(rows), self.cfg
        post, direct = buffer("post", n, cfg.d_mlp), buffer("direct", n, cfg.d_vocab_out)
        pattern, weight = (buffer(name, n, rows.index.shape[1] * cfg.n_heads) for name in ("pattern", "weight"))
        logits = buffer("logits", n, cfg.d_vocab_out)
        inputs = (mixed, base, tables.scores, tables.W_out_U, rows.index, rows.source, rows.query, cfg.attn_rate)
        kernels.forward(*inputs, pattern, weight, post, direct, logits)
        return pattern, weight, post, logits

    def _shard(self, tables: Tables, mixed: Array, base: Array, rows: Rows, share: float, sums: Tables) -> float:
        """Loss summed over a shard's rows, times ``share``; writes the gradients to ``sums``."""
        pattern, weight, post, logits = self._forward(tables, mixed, base, rows)
        spare = (buffer("d_post", *post.shape), buffer("shifted", len(rows)), buffer("d_weight", *weight.shape))
        inputs = (mixed, tables.W_out_U, rows.index, rows.source, rows.query, rows.label, self.cfg.attn_rate, share)
        into = (sums.parts, sums.scores, sums.base, sums.W_out_U)
        return kernels.backward(*inputs, pattern, weight, post, logits, *spare, *into)
