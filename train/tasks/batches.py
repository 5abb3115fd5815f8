"""Training rows of each step: the full training set, or a minibatch of the epoch's shuffle."""

import torch
from jaxtyping import Int
from torch import Tensor

from train.config.run import RunConfig
from train.streams import stream

from .task import Task

OBEYS = frozenset({"optim.batch_size"})
"""Settings that this file obeys."""


class Batches:
    """The training rows of a run's updates."""

    def __init__(self, task: Task, config: RunConfig) -> None:
        self.rows = task.rows("train")
        self.seed, self.size = config.seed, config.batch_rows
        self.epoch, self.order = -1, self.rows

    @property
    def is_full(self) -> bool:
        """Whether every step uses all training rows."""
        return self.size is None or self.size >= len(self.rows)

    def at(self, step: int) -> Int[Tensor, " batch"]:
        """Row numbers of the update made at ``step``."""
        if self.size is None or self.is_full:
            return self.rows
        per_epoch = -(-len(self.rows) // self.size)
        epoch, piece = divmod(step, per_epoch)
        if epoch != self.epoch:
            shuffle = torch.randperm(len(self.rows), generator=stream(self.seed, f"batch/{epoch}"))
            self.epoch, self.order = epoch, self.rows[shuffle]
        return self.order[piece * self.size : (piece + 1) * self.size]
