"""The interface of a pass: the loss of K models and its gradient, and their logits for evaluations.

Passes agree up to rounding. A model's numbers depend neither on the number of threads nor on the other models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from train.config.knows import Knows, Setting, unknown
from train.config.run import RunConfig
from train.errors import UndeclaredSetting
from train.model import HookedMLP, HookedTransformer
from train.tasks.task import Task

from .arrays import Array
from .loss import RowLosses
from .scope import NOT_OF_A_PASS
from .threads import Map, Threads
from .weights import StackedWeights

Score = tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]
"""Loss of each row in nats, and whether all its answers are right."""
Reader = Callable[[Tensor], Float[Tensor, "rows n_answers d_vocab_out"]]
"""A thread-safe function from row numbers to logits at the answers."""
AfterGradients = Callable[[range, Map, Sequence[Array]], None]
"""Callback for models whose gradients are complete, such as the optimiser's step.

Its arguments are the models, a map for the callback's own pieces of work, and gradient rows to add first, in order.
"""
PIECE = 256
"""Rows per gradient computation in the functional and layers passes."""
EVAL_ROWS = 1000
"""Rows per evaluation step on a CPU."""
DEVICE_EVAL_ROWS = 65_536
"""Rows per evaluation step on other devices: all rows up to p = 256; those of p = 997 would take tens of gigabytes."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """K models of one shape that train side by side; the input of a pass's constructor."""

    model: HookedTransformer | HookedMLP
    """A model of that shape, whose own weights are not read."""
    configs: Sequence[RunConfig]
    tasks: Sequence[Task]
    """One task per model, with equal rows of tokens; labels and splits may differ."""
    weights: StackedWeights
    threads: Threads

    @property
    def tokens(self) -> Int[Tensor, "rows n_ctx"]:
        """Rows of tokens, on the CPU."""
        return self.tasks[0].tokens

    @property
    def answer_positions(self) -> tuple[int, ...]:
        """The position at which each answer is read."""
        return self.tasks[0].answer_positions

    def labels(self) -> list[Int[Tensor, "rows n_answers"]]:
        """Labels of all rows, by model, on the device of the weights."""
        return [task.labels.to(self.weights.values.device) for task in self.tasks]


@runtime_checkable
class Pass(Protocol):
    """A way to compute the training loss of K models and its gradient, constructed from an ``Ensemble``."""

    NAME: ClassVar[str]
    """The pass's name in ``run.json`` and in the display."""
    KNOWS: ClassVar[Knows]
    """Settings of the model, the task and the loss that the pass implements."""
    labels: list[Tensor]
    """Labels of all rows [rows, n_answers], by model."""
    loss: RowLosses
    """The loss that training minimises and evaluations report."""

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the pass supports a device, with weights of that precision."""
        ...

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> Any:
        """Rows of model ``k``'s task, in the input format of ``backward``."""
        ...

    def backward(self, batches: Sequence[Any], steps: Sequence[int], then: AfterGradients) -> Float[Tensor, " K"]:
        """Mean loss of each model over its batch, in nats.

        Writes the gradients into the weights' ``grads``, then calls ``then``. ``steps`` counts the completed updates of
        each model, and selects the random streams of this update.
        """
        ...

    def reader(self, k: int, each: Map) -> Reader:
        """A function from rows of model ``k``'s task to logits at the current weights.

        ``each`` maps over the pieces of any preparatory work.
        """
        ...


def score(taken: Pass, k: int, rows: Int[Tensor, " chosen"], each: Map) -> Score:
    """Scores of some rows of model ``k``'s task; ``each`` maps over pieces of the rows."""
    read, labels = taken.reader(k, each), taken.labels[k]

    @torch.no_grad()
    def piece(some: Tensor) -> Score:
        logits, answers = read(some), labels[some]
        return taken.loss(logits, answers), (logits.argmax(-1) == answers).all(dim=1)

    size = EVAL_ROWS if labels.device.type == "cpu" else DEVICE_EVAL_ROWS
    losses, rights = zip(*each(piece, rows.split(size)), strict=True)
    return torch.cat(losses), torch.cat(rights)


def unknown_to(knows: Knows, config: RunConfig) -> Setting | None:
    """The first setting of a run that a pass with these ``KNOWS`` does not implement; None if all are implemented."""
    return unknown(knows, config, but=NOT_OF_A_PASS)


def check_knows(name: str, knows: Knows, configs: Sequence[RunConfig]) -> None:
    """Refuse runs with settings that a pass does not implement.

    Raises:
        UndeclaredSetting: a run has a setting that is not in ``knows``.
    """
    for config in configs:
        setting = unknown_to(knows, config)
        if setting is not None:
            raise UndeclaredSetting(f"the {name} pass does not know {setting}: choose another pass")
