"""The tables pass: one-layer transformers without layer norm, on a CPU in float32."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import Knows
from train.passes.arrays import buffer
from train.passes.entries import make_plan
from train.passes.layers.layer_pass import LayerPass
from train.passes.loss import cross_entropy
from train.passes.protocol import AfterGradients, Ensemble, Reader, check_knows
from train.passes.threads import Map

from .rows import RowLoss, Rows
from .tables import TableMaker, Tables

BLOCK = 8
"""Number of models whose tables a thread builds together."""


class TablePass:
    """A ``protocol.Pass`` that computes with ``Tables``, for tasks with one answer, read at the last position."""

    NAME: ClassVar[str] = "tables"
    KNOWS: ClassVar[Knows] = {
        **LayerPass.KNOWS,
        "task.layout": {"a b =", "a op b =", "a b", "a op b", "eos a op b ="},
        "model.n_layers": {1},
        "model.norm": {"none"},
    }
    loss = staticmethod(cross_entropy)

    def __init__(self, models: Ensemble) -> None:
        check_knows(self.NAME, self.KNOWS, models.configs)
        K = len(models.tasks)
        assert models.answer_positions == (models.tokens.shape[1] - 1,)
        self.cfg, self.weights, self.threads = models.model.cfg, models.weights, models.threads
        self.labels = models.labels()
        self.plan = make_plan(models.tokens, models.answer_positions, self.cfg.n_layers)
        self.makers = [self._maker(k, k + 1) for k in range(K)]
        self.row_loss = RowLoss(self.cfg, self.plan, self.makers[0])
        size = max(1, min(BLOCK, K // self.threads.count))
        self.blocks = [range(first, min(first + size, K)) for first in range(0, K, size)]
        self.block_makers = [self.makers[b[0]] if len(b) == 1 else self._maker(b[0], b[-1] + 1) for b in self.blocks]

    def _maker(self, first: int, last: int) -> TableMaker:
        """The table maker of the models from ``first`` to before ``last``."""
        weights = self.weights
        W = {_short(name): t.detach()[first:last].numpy() for name, t in weights.stacked.items()}
        d_W = {_short(name): t[first:last].numpy() for name, t in weights.split(weights.grads).items()}
        return TableMaker(self.cfg, self.plan, W, d_W)

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the device is a CPU and the weights are float32."""
        return device.type == "cpu" and dtype == torch.float32

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Rows]:
        """The rows' table entries and labels, in shards."""
        return self.row_loss.rows(self.labels[k], rows).shards()

    def backward(
        self, batches: Sequence[list[Rows]], steps: Sequence[int], then: AfterGradients
    ) -> Float[Tensor, " K"]:
        """Losses and gradients; threads work on blocks of models, or on the shards of one model if models are few."""
        losses = torch.empty(len(batches), dtype=torch.float64)

        def one(i: int, each: Map) -> None:
            maker = self.block_makers[i]
            tables = maker.forward(each)
            d_tables = Tables(*(buffer(f"d {name}", *table.shape) for name, table in tables._asdict().items()))
            for b, k in enumerate(self.blocks[i]):
                losses[k] = self.row_loss.gradients(tables.of(b), batches[k], d_tables.of(b), each)
            maker.backward(d_tables, each)
            then(self.blocks[i], each, [])

        self.threads.over(one, len(self.blocks))
        return losses

    def reader(self, k: int, each: Map) -> Reader:
        """A reader that uses the tables of the current weights."""
        logits = self.row_loss.reader(self.makers[k].forward(each).of(0))
        return lambda rows: torch.from_numpy(logits(self.row_loss.rows(self.labels[k], rows)))[:, None]


def _short(name: str) -> str:
    return name.rpartition(".")[2]
