"""A checkpoint's own record of training: its loss curves, and a note on snapshots that never change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .plain import numbers
from .unwrapping import Weights

COLUMNS = {
    "train_loss": ("train_losses", "train_loss", "losses", "train_loss_list"),
    "test_loss": ("test_losses", "test_loss", "val_losses", "test_loss_list"),
    "train_acc": ("train_accuracies", "train_accs", "train_acc", "train_accuracy"),
    "test_acc": ("test_accuracies", "test_accs", "test_acc", "test_accuracy", "val_accuracies"),
}
"""Columns of our log, and the keys under which checkpoints list their values."""
MAX_ROWS = 1_000_000
"""Longest list of losses that is read."""


@dataclass(frozen=True)
class Listed:
    """Losses and accuracies that a checkpoint lists."""

    rows: tuple[dict[str, Any], ...] = ()
    """Rows of the log, by step: step, and those of train_loss, test_loss, train_acc and test_acc that are listed."""
    notes: tuple[str, ...] = ()


def listed_losses(raw: Any, steps: list[int], source: str) -> Listed:
    """Losses and accuracies that a checkpoint lists, as rows of a log.

    A list with one value per update of the last snapshot (or one more) has stride 1. A list of n values over L updates
    has stride L/n where n divides L: its values belong to steps 0, L/n, 2L/n, ..., each before the update, as in the
    published code. Values that are not finite, and lists that fit no stride, are left out with a note.

    Args:
        raw: contents of the file; of a folder, the file with the most losses is read.
        steps: steps of the snapshots.
        source: name of the file, for notes.
    """
    holder = _holder(raw)
    columns = {ours: _values(holder, names) for ours, names in COLUMNS.items()}
    rows: dict[int, dict[str, Any]] = {}
    misfits, strides = [], {}
    for name, values in columns.items():
        if len(values) < 2:
            continue
        stride = _stride(len(values), steps[-1])
        if stride is None:
            misfits.append(f"the {len(values):,} values of {name} in {source} fit no stride up to step {steps[-1]:,}")
            continue
        strides[name] = stride
        for i, value in enumerate(values):
            if value is not None:
                rows.setdefault(i * stride, {"step": i * stride})[name] = value
    notes = [f"{words}: they were left out" for words in misfits]
    if rows:
        each = "; ".join(f"{name} {_each(stride)}" for name, stride in strides.items())
        notes.insert(0, f"the log holds values as {source} lists them, and none of ours: {each}")
    return Listed(tuple(rows[step] for step in sorted(rows)), tuple(notes))


def _each(stride: int) -> str:
    return "for every step" if stride == 1 else f"for every {stride:,}th step"


def _holder(raw: Any) -> Mapping[str, Any]:
    """The checkpoint that lists losses; in a folder, the one that lists the most."""
    if not isinstance(raw, Mapping):
        return {}
    if raw and all(type(key) is int for key in raw):
        checkpoints = [each for each in raw.values() if isinstance(each, Mapping)]
        return max(
            checkpoints, key=lambda each: max(map(len, map(_list, map(each.get, COLUMNS["train_loss"])))), default={}
        )
    return raw


def _list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else ()


def _values(holder: Mapping[str, Any], names: tuple[str, ...]) -> list[float | None]:
    """Numbers under the first of these keys that lists any; None replaces values that are not finite."""
    for name in names:
        values = numbers(holder.get(name)) if len(_list(holder.get(name))) <= MAX_ROWS else None
        if values:
            return [value if abs(value) < float("inf") else None for value in values]
    return []


def _stride(n: int, last: int) -> int | None:
    """Steps from one of n listed values to the next, over ``last`` updates; None where no stride fits."""
    if n in (last, last + 1):
        return 1
    if last % n == 0 and last > n:
        return last // n
    return last // (n - 1) if last > n and last % (n - 1) == 0 else None


def identical(snapshots: Mapping[int, Weights]) -> str | None:
    """A note where snapshots of different steps hold the same weights."""
    steps = sorted(snapshots)
    same = [b for a, b in zip(steps, steps[1:], strict=False) if _equal(snapshots[a], snapshots[b])]
    if not same:
        return None
    if len(same) == len(steps) - 1:
        return (
            f"the weights are identical at all {len(steps)} steps, {steps[0]:,} to {steps[-1]:,}: were they saved "
            "without a copy of each?"
        )
    return f"the weights are those of the step before at {len(same)} of {len(steps)} steps, first at step {same[0]:,}"


def _equal(a: Weights, b: Weights) -> bool:
    return a is b or a.keys() == b.keys() and all(a[name] is b[name] or torch.equal(a[name], b[name]) for name in a)
