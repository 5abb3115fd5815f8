"""Statistics of training curves."""

from collections.abc import Sequence


def first_crossing(steps: Sequence[int], values: Sequence[float], threshold: float) -> int | None:
    """First step whose value is at least ``threshold``; None if there is none."""
    return next((step for step, value in zip(steps, values, strict=True) if value >= threshold), None)


def stable_crossing(steps: Sequence[int], values: Sequence[float], threshold: float) -> int | None:
    """First step from which the value stays at least ``threshold`` to the end; None if it ends below."""
    found = None
    for step, value in zip(steps, values, strict=True):
        if not value >= threshold:  # NaN is not above it
            found = None
        elif found is None:
            found = step
    return found


def delay(train_step: int | None, test_step: int | None) -> int | None:
    """Steps between the training and the test crossing; None if either is missing."""
    if train_step is None or test_step is None:
        return None
    return test_step - train_step
