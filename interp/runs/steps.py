"""Checks of the steps, ranges of steps and key frequencies that users pass to a run."""

import operator
import sys
from typing import Any

from train.errors import UsageError, shown

ALL_STEPS = range(sys.maxsize)
"""The range of a run that is not restricted."""


def as_step(value: Any, examples: str = "run[1000], run[0:1000] or run.nearest(1000)") -> int:
    """The step as a Python int, from an int or an integer of NumPy or PyTorch.

    Raises:
        UsageError: any other value; the message ends with the examples.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UsageError(f"a step is a whole number; got {shown(value)}: use {examples}") from None


def as_key_freqs(values: Any) -> tuple[int, ...]:
    """Key frequencies as Python ints; ``key_freqs`` checks whether the run's cycle has them.

    Raises:
        UsageError: the value is not a list of whole numbers.
    """
    try:
        return tuple(map(operator.index, values))
    except TypeError:
        raise UsageError(f"key_freqs is a list of whole numbers such as [3, 4]; got {shown(values)}") from None


def as_range(steps: slice) -> range:
    """The steps from ``start`` (0 by default) up to but not including ``stop``.

    Raises:
        UsageError: a stride, a negative bound, or a bound that is not a whole number.
    """
    if steps.step is not None:
        raise UsageError(
            f"a range of steps takes no stride; got {shown(steps.step)}: "
            "use [run[step] for step in run.steps[::10]] for every tenth snapshot"
        )
    start = 0 if steps.start is None else as_step(steps.start)
    stop = ALL_STEPS.stop if steps.stop is None else as_step(steps.stop)
    for bound in (start, stop):
        if bound < 0:
            raise UsageError(
                f"a range of steps counts updates from 0; got {bound}: use run.last, or run.steps[{bound}:] for a list"
            )
    return range(start, max(start, stop))


def overlap(a: range, b: range) -> range:
    """The steps that both ranges contain."""
    start = max(a.start, b.start)
    return range(start, max(start, min(a.stop, b.stop)))


def range_words(steps: range) -> str:
    """A range in words, such as "steps 0 to 999", or "steps from 1,000"."""
    if len(steps) == 1:
        return f"step {steps.start:,}"
    if steps.stop == ALL_STEPS.stop:
        return f"steps from {steps.start:,}"
    return f"steps {steps.start:,} to {steps.stop - 1:,}" if len(steps) else "no steps"
