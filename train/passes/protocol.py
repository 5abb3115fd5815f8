"""What a pass offers: the loss of K models and its gradient, and logits to evaluate them by.

Passes agree up to rounding, and neither the number of threads nor the models beside it change a model's numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from train.config.knows import Knows, Setting, unknown
from train.config.run import RunConfig
from train.errors import UndeclaredSetting

from .arrays import Array
from .loss import RowLosses
from .scope import NOT_OF_A_PASS
from .threads import Map

Score = tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]
"""Loss of each row in nats, and whether all its answers are right."""
Reader = Callable[[Tensor], Float[Tensor, "rows n_answers d_vocab_out"]]
"""From numbers of rows to their logits at the answers; any thread may call it."""
AfterGradients = Callable[[range, Map, Sequence[Array]], None]
"""Callback for models whose gradients are complete, such as the optimiser's step.

Its arguments: the models; a map for the callback's own pieces of work; further gradient rows to add first, in order.
"""
PIECE = 256
"""Rows whose gradient is taken at once, except by tables."""
EVAL_ROWS = 1000
"""Rows evaluated at once on a CPU."""
DEVICE_EVAL_ROWS = 65_536
"""Rows evaluated at once elsewhere: all of p <= 256; all of p = 997 would take tens of gigabytes."""


@runtime_checkable
class Pass(Protocol):
    """A way to take the training loss of K models and its gradient. ``labels`` are those of all rows, by model."""

    NAME: ClassVar[str]
    """As ``run.json`` and the display call it."""
    KNOWS: ClassVar[Knows]
    """Settings of the model, the task and the loss that it implements."""
    labels: list[Tensor]
    loss: RowLosses
    """The loss that is trained on, and that evaluations report."""

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether it can be taken there, with weights of that precision."""
        ...

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> Any:
        """Rows of model ``k``'s task, as ``backward`` takes them."""
        ...

    def backward(self, batches: Sequence[Any], steps: Sequence[int], then: AfterGradients) -> Float[Tensor, " K"]:
        """Mean loss of each model over its batch, in nats; its gradient becomes the weights'. Then calls ``then``.

        ``steps`` are the updates that each model has had: they name the random streams of this update.
        """
        ...

    def reader(self, k: int, each: Map) -> Reader:
        """Reads rows of model ``k``'s task at the present weights; ``each`` maps over pieces of what that takes."""
        ...


def score(taken: Pass, k: int, rows: Int[Tensor, " chosen"], each: Map) -> Score:
    """Scores of rows of model ``k``'s task; ``each`` maps over pieces of them."""
    logits, labels = taken.reader(k, each), taken.labels[k]

    @torch.no_grad()
    def piece(some: Tensor) -> Score:
        found, right = logits(some), labels[some]
        return taken.loss(found, right), (found.argmax(-1) == right).all(dim=1)

    size = EVAL_ROWS if labels.device.type == "cpu" else DEVICE_EVAL_ROWS
    losses, rights = zip(*each(piece, rows.split(size)), strict=True)
    return torch.cat(losses), torch.cat(rights)


def unknown_to(knows: Knows, config: RunConfig) -> Setting | None:
    """The first setting that a pass would have to implement and does not."""
    return unknown(knows, config, but=NOT_OF_A_PASS)


def check_knows(name: str, knows: Knows, configs: Sequence[RunConfig]) -> None:
    """Refuse runs that a pass would get wrong.

    Raises:
        UndeclaredSetting: one of them has a setting that the pass does not know.
    """
    for config in configs:
        setting = unknown_to(knows, config)
        if setting is not None:
            raise UndeclaredSetting(f"the {name} pass does not know {setting}: choose another pass")
