"""One-layer models without layer norm as tables of contributions to hidden units and logits.

A row's hidden units read a sum over heads and positions of pattern * (value W_O W_in), and each value depends only on
a (position, token) pair. So these products are computed once per pair, not once per row, and a row's matrix product
becomes a sum of a few table rows. Likewise W_out W_U is multiplied first, so that no row passes through the residual
stream. The function and its gradients equal the plain model's, up to rounding.

This module uses numpy, with B models at once: numpy's matrix products release the GIL, and its BLAS is faster than
PyTorch's on many processors.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from train.passes import kernels
from train.passes.arrays import Array, buffer, quiet, side_by_side
from train.passes.entries import Plan
from train.passes.threads import Map


class Tables(NamedTuple):
    """Tables of a model (or of B models, with a leading axis), or gradients with respect to tables.

    C = d_mlp + d_vocab_out columns: contributions to the hidden units, then directly to the logits.
    """

    parts: Float32[Array, "*B n_heads d_vocab_plus_n_ctx C"]
    """Contributions of each token's value, then of each position's value; an entry's row is the sum of both."""
    scores: Float32[Array, "*B n_heads queries pairs"]
    """Attention scores of query entries against all entries."""
    base: Float32[Array, "*B queries C"]
    """Contribution of a query entry's residual stream, biases included."""
    W_out_U: Float32[Array, "*B d_mlp d_vocab_out"]
    """The neuron-logit map."""

    def of(self, b: int) -> "Tables":
        """Tables of model ``b``."""
        return Tables(*(table[b] for table in self))


class TableMaker:
    """Builds the tables of B models from the weights, and backpropagates gradients from tables to weights.

    Args:
        cfg: the models' HookedTransformerConfig: one layer, no norm.
        plan: the entries of the tables.
        W: weights [B, ...] by TransformerLens's short name ("W_E", "b_in", ...); read at every call.
        d_W: gradients of the trained weights, written by every ``backward``.
    """

    def __init__(self, cfg: Any, plan: Plan, W: Mapping[str, Array], d_W: Mapping[str, Array]) -> None:
        self.cfg, self.W, self.d_W = cfg, W, d_W
        self.tokens = plan.table_tokens.to("cpu").numpy().astype(np.int32)
        self.positions = plan.table_positions.to("cpu").numpy().astype(np.int32) + np.int32(cfg.d_vocab)
        asked = plan.query_entries.to("cpu").numpy()
        self.asked_tokens, self.asked_positions = self.tokens[asked], self.positions[asked]

    @quiet
    def forward(self, each: Map) -> Tables:
        """The tables at the current weights; intermediate arrays are kept in thread-local memory for ``backward``."""
        W, cfg = self.W, self.cfg
        B, width = len(W["W_E"]), cfg.n_heads * cfg.d_head
        rows = cfg.d_vocab + len(W["W_pos"][0])
        self.x = buffer("x", B, rows, cfg.d_model)
        np.concatenate([W["W_E"], W["W_pos"]], axis=1, out=self.x)
        self.qkv = buffer("qkv", B, cfg.d_model, 3 * width)
        np.concatenate([side_by_side(W[f"W_{letter}"]) for letter in "QKV"], axis=2, out=self.qkv)
        y = buffer("y", B, rows, 3 * width)
        np.matmul(self.x, self.qkv, out=y)
        y[:, cfg.d_vocab :] += np.concatenate([W[f"b_{letter}"].reshape(B, 1, width) for letter in "QKV"], axis=2)
        q, k, v = (np.ascontiguousarray(part) for part in np.split(y, 3, axis=2))
        self.queries = self._heads(self._pairs(q, self.asked_tokens, self.asked_positions))
        self.keys = self._heads(self._pairs(k, self.tokens, self.positions))
        self.values = self._heads(v)
        C = cfg.d_mlp + cfg.d_vocab_out
        self.reads = buffer("reads", B, cfg.d_model, C)
        np.concatenate([W["W_in"], W["W_U"]], axis=2, out=self.reads)
        self.resid = self._pairs(self.x, self.asked_tokens, self.asked_positions) + W["b_O"][:, None]
        self.writes = buffer("writes", B, cfg.n_heads, cfg.d_head, C)
        parts, W_out_U = buffer("parts", B, cfg.n_heads, rows, C), buffer("W_out_U", B, cfg.d_mlp, cfg.d_vocab_out)

        def some(heads: slice | None) -> None:
            if heads is None:
                np.matmul(W["W_out"], W["W_U"], out=W_out_U)
                return
            np.matmul(W["W_O"][:, heads], self.reads[:, None], out=self.writes[:, heads])
            np.matmul(self.values[:, heads], self.writes[:, heads], out=parts[:, heads])

        list(each(some, self._shares(each)))
        b_out = W["b_U"] + (W["b_out"][:, None] @ W["W_U"])[:, 0]
        return Tables(
            parts=parts,
            scores=(self.queries @ self.keys.swapaxes(2, 3)) * np.float32(1 / cfg.attn_scale),
            base=self.resid @ self.reads + np.concatenate([W["b_in"], b_out], axis=1)[:, None],
            W_out_U=W_out_U,
        )

    @quiet
    def backward(self, d: Tables, each: Map) -> None:
        """Write the gradients of the trained weights, given gradients ``d`` of the tables of the last ``forward``."""
        W, cfg = self.W, self.cfg
        B, d_mlp, width = len(self.x), cfg.d_mlp, cfg.n_heads * cfg.d_head
        d_values, d_W_O = buffer("d_values", *self.values.shape), buffer("d_W_O", *W["W_O"].shape)
        d_writes = buffer("d_writes", *self.writes.shape)
        d_reads_of = buffer("d_reads_of", B, cfg.n_heads, *self.reads.shape[1:])
        d_W_out, d_W_U = buffer("d_W_out", *W["W_out"].shape), buffer("d_W_U", *W["W_U"].shape)

        def some(heads: slice | None) -> None:
            if heads is None:
                np.matmul(d.W_out_U, W["W_U"].swapaxes(1, 2), out=d_W_out)
                np.matmul(W["W_out"].swapaxes(1, 2), d.W_out_U, out=d_W_U)
                return
            own = d_writes[:, heads]
            np.matmul(self.values[:, heads].swapaxes(2, 3), d.parts[:, heads], out=own)
            np.matmul(d.parts[:, heads], self.writes[:, heads].swapaxes(2, 3), out=d_values[:, heads])
            np.matmul(own, self.reads[:, None].swapaxes(2, 3), out=d_W_O[:, heads])
            np.matmul(W["W_O"][:, heads].swapaxes(2, 3), own, out=d_reads_of[:, heads])

        list(each(some, self._shares(each)))
        d_bias, d_resid = d.base.sum(axis=1), d.base @ self.reads.swapaxes(1, 2)
        d_reads = buffer("d_reads", *self.reads.shape)
        np.sum(d_reads_of, axis=1, out=d_reads)
        d_reads += self.resid.swapaxes(1, 2) @ d.base
        d_W_U += d_reads[:, :, d_mlp:]
        d_W_U += W["b_out"][:, :, None] * d_bias[:, None, d_mlp:]
        d_scores = d.scores * np.float32(1 / cfg.attn_scale)
        d_y = buffer("d_y", B, self.x.shape[1], self.qkv.shape[2])
        d_y[:] = 0
        d_q, d_k, d_v = np.split(d_y, 3, axis=2)
        self._unpair(self._flat(d_scores @ self.keys), self.asked_tokens, self.asked_positions, d_q)
        self._unpair(self._flat(d_scores.swapaxes(2, 3) @ self.queries), self.tokens, self.positions, d_k)
        d_v[:] = self._flat(d_values)
        d_qkv, d_x = buffer("d_qkv", *self.qkv.shape), buffer("d_x", *self.x.shape)
        np.matmul(self.x.swapaxes(1, 2), d_y, out=d_qkv)
        np.matmul(d_y, self.qkv.swapaxes(1, 2), out=d_x)
        self._unpair(d_resid, self.asked_tokens, self.asked_positions, d_x)
        grads = {
            "W_E": d_x[:, : cfg.d_vocab],
            "W_pos": d_x[:, cfg.d_vocab :],
            "W_O": d_W_O,
            "b_O": d_resid.sum(axis=1),
            "W_in": d_reads[:, :, :d_mlp],
            "b_in": d_bias[:, :d_mlp],
            "W_out": d_W_out,
            "b_out": (W["W_U"] @ d_bias[:, d_mlp:, None])[:, :, 0],
            "W_U": d_W_U,
            "b_U": d_bias[:, d_mlp:],
        }
        for i, letter in enumerate("QKV"):
            own = slice(i * width, (i + 1) * width)
            grads[f"W_{letter}"] = d_qkv[:, :, own].reshape(B, cfg.d_model, cfg.n_heads, cfg.d_head).swapaxes(1, 2)
            grads[f"b_{letter}"] = d_y[:, cfg.d_vocab :, own].sum(axis=1).reshape(W[f"b_{letter}"].shape)
        for name, into in self.d_W.items():
            into[:] = grads[name]

    def _shares(self, each: Map) -> list[slice | None]:
        """Units of work for ``each``: the neuron-logit map (None), and all heads, or each head if there are threads."""
        H = self.cfg.n_heads
        return [None, *([slice(0, H)] if each is map else [slice(h, h + 1) for h in range(H)])]

    def _heads(self, flat: Array) -> Array:
        """[B, rows, heads * d_head] as [B, heads, rows, d_head]."""
        return flat.reshape(*flat.shape[:2], self.cfg.n_heads, self.cfg.d_head).swapaxes(1, 2)

    @staticmethod
    def _flat(per_head: Array) -> Array:
        """The inverse of ``_heads``."""
        B, H, rows, d_head = per_head.shape
        return per_head.swapaxes(1, 2).reshape(B, rows, H * d_head)

    @staticmethod
    def _pairs(x: Array, tokens: Array, positions: Array) -> Array:
        out = np.empty((x.shape[0], len(tokens), x.shape[2]), np.float32)
        kernels.gather_pairs(x, tokens, positions, out)
        return out

    @staticmethod
    def _unpair(d_out: Array, tokens: Array, positions: Array, d_x: Array) -> None:
        kernels.scatter_pairs(d_out, tokens, positions, d_x)
