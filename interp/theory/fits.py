"""Slopes of loss curves, and checks of whether a slope is an exponent."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange

PLATEAU = 4.0
"""A loss below this multiple of the loss after infinite training is approaching a plateau."""
BENT = 0.05
"""A curve bends if its slope flattens by more than this share from the first half of the window to the second."""


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of log loss against log t."""

    slope: float
    plateau: str | None
    """Reason why the slope is not an exponent; None if there is no such reason."""


def fit_slope(t: Float[np.ndarray, " times"], loss: Float[np.ndarray, " times"], residual: float | None = None) -> Fit:
    """Slope of a loss curve over the given times, which should be evenly spread in log t.

    Args:
        t: times, rising.
        loss: above 0.
        residual: loss after infinite training, if known; if not, a bend of the curve indicates a plateau.

    Raises:
        OutOfRange: fewer than 10 points, or values that are not positive and finite.
    """
    if len(t) < 10:
        raise OutOfRange(f"{len(t)} points are too few for a slope: give at least 10")
    if not (np.isfinite(loss).all() and (loss > 0).all() and (t > 0).all()):
        raise OutOfRange("times and losses must be positive and finite to have a slope: remove the others")
    x, y = np.log(t), np.log(loss)
    whole, early, late = (float(np.polyfit(x[part], y[part], 1)[0]) for part in _parts(len(x)))
    plateau = None
    if residual is not None and loss[-1] < PLATEAU * residual:
        plateau = f"the loss ends at {loss[-1]:.3g}, below {PLATEAU:g} times the {residual:.3g} of infinite training"
    elif residual is None and late > early + BENT * abs(whole):
        plateau = f"the curve bends: slope {early:.3f} in the first half, {late:.3f} in the second"
    return Fit(whole, plateau)


def _parts(n: int) -> tuple[slice, slice, slice]:
    return slice(None), slice(0, n // 2), slice(n // 2, n)
