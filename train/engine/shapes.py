"""Conditions for runs to share a stack, and the number of runs that fit in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from train.config.knows import settings
from train.config.run import RunConfig
from train.errors import UsageError

from .memory import FREE_SHARE, free_bytes

if TYPE_CHECKING:
    import torch

Alike = Callable[[RunConfig], Any]
"""A function from a run's config to a value that must be equal for all runs of a stack."""


def _nothing(config: RunConfig) -> None:
    """None for every config: runs of a stack may differ in the setting."""


def _operation_in_the_rows(config: RunConfig) -> str | None:
    """The operation if answers are fed as tokens, because the runs of a stack share the rows of tokens; else None."""
    return config.task.op if config.task.shape.feeds_answers else None


def _kind_of_update(config: RunConfig) -> str:
    """The kind of update: coupled and decoupled weight decay are one kind of Adam, unless weights decay to "init"."""
    optim = config.optim
    is_adam = optim.optimizer in ("adam", "adamw") and optim.decay_towards == "origin"
    return "adam" if is_adam else optim.optimizer


PER_RUN: Mapping[str, Alike] = {
    "seed": _nothing,
    "task.op": _operation_in_the_rows,
    **{f"task.{name}": _nothing for name in ("train_frac", "split", "split_seed", "outliers")},
    "task.p": lambda config: config.task.n_elements,  # of residues or a group
    "task.group": _nothing,
    **{f"model.{name}": _nothing for name in ("init", "init_scale")},
    **{f"optim.{name}": _nothing for name in ("lr", "weight_decay", "beta1", "beta2", "eps", "momentum")},
    **{f"optim.{name}": _nothing for name in ("muon_momentum", "warmup_steps", "decay_steps", "decay_to")},
    **{f"optim.{name}": _nothing for name in ("grokfast_lambda", "grokfast_from")},
    "optim.optimizer": _kind_of_update,
    "optim.grokfast_alpha": lambda config: config.optim.grokfast_alpha is not None,
    "optim.norm_clamp": lambda config: config.optim.norm_clamp is not None,
    "optim.update_noise": lambda config: config.optim.update_noise > 0,
    "optim.weight_noise": lambda config: config.optim.weight_noise > 0,
    "optim.dropout": lambda config: config.optim.dropout > 0,
    **{f"schedule.{name}": _nothing for name in ("steps", "per_decade")},
}
"""Settings that may differ within a stack, with what must still agree; every other setting must be equal."""


def shape_of(config: RunConfig) -> dict[str, Any]:
    """The values, by setting, that must be equal for all runs of a stack."""
    return {s.name: PER_RUN[s.name](config) if s.name in PER_RUN else s.value for s in settings(config)}


def check_shapes(configs: Sequence[RunConfig]) -> None:
    """Refuse runs of different shapes.

    Raises:
        UsageError: shapes differ; the message names the settings and two values of each.
    """
    first = shape_of(configs[0])
    for config in configs[1:]:
        other = shape_of(config)
        differ = [f"{name} ({first[name]} and {other[name]})" for name in first if first[name] != other[name]]
        if differ:
            raise UsageError(
                f"runs that train side by side must have one shape; these differ in {', '.join(differ)}: "
                "train them one after the other, or in a stack for each shape"
            )


def bytes_per_run(config: RunConfig) -> int:
    """Bytes per run of a stack: weights, optimiser state, the task and its training rows.

    The bytes are counted, not measured. Temporary memory of a step is shared by all runs and not included.
    """
    from train.model import count_weights
    from train.optim.optimizer import numbers_held

    task, model = config.task, config.model
    tokens = task.shape.n_rows * 8 * (task.n_ctx + 5)
    rows = task.n_train * 4 * (2 * task.n_ctx + task.n_ctx * model.n_heads + 4)
    return numbers_held(config.optim) * 4 * count_weights(config) + tokens + rows


def check_memory(configs: Sequence[RunConfig], device: "torch.device") -> None:
    """Refuse more runs than fit in memory.

    Raises:
        UsageError: the runs do not fit; the message names the largest number that does.
    """
    free = free_bytes(device)
    most = int(FREE_SHARE * free / bytes_per_run(configs[0]))
    if len(configs) > most:
        need = len(configs) * bytes_per_run(configs[0])
        raise UsageError(
            f"{len(configs)} runs side by side need {need / 1e9:.1f} GB of the {free / 1e9:.1f} GB that are free on "
            f"{device}; {most} fit: ask for fewer --seeds at a time"
        )
