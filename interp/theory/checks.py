"""Checks of the theory's parameters: each message gives the value and the allowed range."""

import math

LARGEST = 20.0
"""Largest alpha and beta; eigenvalues and powers of larger ones leave the range of float64."""


class OutOfRange(ValueError):
    """A parameter outside the theory's range; the message gives the allowed range."""


class Unsolvable(RuntimeError):
    """A calculation without a result: no convergence, an unstable step size, or numbers that are not finite."""


def check_task(alpha: float, beta: float) -> None:
    """Refuse exponents outside the theory.

    Raises:
        OutOfRange: alpha <= 1, where the kernel has no trace, or beta <= 0, where the target has no variance.
    """
    if not 1 < alpha <= LARGEST:
        raise OutOfRange(
            f"alpha = {alpha:g} is not allowed: give alpha > 1, so that the kernel's trace is finite, up to {LARGEST:g}"
        )
    if not 0 < beta <= LARGEST:
        raise OutOfRange(
            f"beta = {beta:g} is not allowed: give beta > 0, so that the target's variance is finite, up to {LARGEST:g}"
        )


def check_gamma(gamma: float) -> None:
    """Refuse a strength of feature learning outside 0 to 1e12.

    Raises:
        OutOfRange: gamma < 0, above 1e12, or not a number.
    """
    if not 0 <= gamma <= 1e12:
        raise OutOfRange(f"gamma = {gamma:g} is not allowed: give gamma >= 0 (0 is lazy), up to 1e12")


def check_step_size(eta: float) -> None:
    """Refuse a step size that is not positive.

    Raises:
        OutOfRange: eta <= 0 or not finite.
    """
    if not (math.isfinite(eta) and eta > 0):
        raise OutOfRange(f"eta = {eta:g} is not allowed: give a step size > 0")


def check_size(name: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        OutOfRange: the value is below 1.
    """
    if value < 1:
        raise OutOfRange(f"{name} = {value} is not allowed: give a whole number of at least 1")
