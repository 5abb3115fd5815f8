"""Statistics of training curves."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bracket:
    """The interval of steps in which a curve crossed a threshold: after ``below`` and by ``at``."""

    below: int | None
    """Last evaluated step before ``at``, with a value below the threshold; None if ``at`` is the first evaluation."""
    at: int
    """First evaluated step at which the value is at least the threshold."""

    def __str__(self) -> str:
        if self.below is None:
            return f"by step {self.at:,}, the first evaluation"
        return f"between steps {self.below:,} and {self.at:,}"


def bracket(steps: Sequence[int], at: int | None) -> Bracket | None:
    """The bracket of a crossing at ``at``, one of the rising ``steps``; None where there was no crossing."""
    if at is None:
        return None
    return Bracket(max((step for step in steps if step < at), default=None), at)


def delay_range(train: Bracket | None, test: Bracket | None) -> tuple[int, int] | None:
    """Least and greatest number of steps from the training to the test crossing; None if either has no lower bound."""
    if train is None or test is None or train.below is None or test.below is None:
        return None
    return test.below - train.at, test.at - train.below


def first_crossing(steps: Sequence[int], values: Sequence[float], threshold: float) -> int | None:
    """First step whose value is at least ``threshold``; None if there is none."""
    return next((step for step, value in zip(steps, values, strict=True) if value >= threshold), None)


def stable_crossing(steps: Sequence[int], values: Sequence[float], threshold: float) -> int | None:
    """First step from which the value stays at least ``threshold`` to the end; None if the last value is below."""
    since = None
    for step, value in zip(steps, values, strict=True):
        if not value >= threshold:  # not `<`: NaN counts as below the threshold
            since = None
        elif since is None:
            since = step
    return since


def delay(train_step: int | None, test_step: int | None) -> int | None:
    """Steps between the training and the test crossing; None if either is missing."""
    if train_step is None or test_step is None:
        return None
    return test_step - train_step
