"""Validation of the solvable model's parameters; each message says what came and what is allowed."""

import math

from train.errors import UsageError

LARGEST = 20.0
"""Largest alpha and beta; for larger ones, eigenvalues and powers leave the range of float64."""


def check_task(alpha: float, beta: float) -> None:
    """Refuse exponents outside the theory.

    Raises:
        UsageError: alpha <= 1, where the kernel has no trace, or beta <= 0, where the target has no variance.
    """
    if not 1 < alpha <= LARGEST:
        raise UsageError(
            f"alpha = {alpha:g} is not allowed: give alpha > 1, so that the kernel's trace is finite, up to {LARGEST:g}"
        )
    if not 0 < beta <= LARGEST:
        raise UsageError(
            f"beta = {beta:g} is not allowed: give beta > 0, so that the target's variance is finite, up to {LARGEST:g}"
        )


def check_gamma(gamma: float) -> None:
    """Refuse a strength of feature learning outside 0 to 1e12.

    Raises:
        UsageError: gamma < 0, above 1e12, or not a number.
    """
    if not 0 <= gamma <= 1e12:
        raise UsageError(f"gamma = {gamma:g} is not allowed: give gamma >= 0 (0 is lazy), up to 1e12")


def check_step_size(eta: float) -> None:
    """Refuse a step size that is not positive.

    Raises:
        UsageError: eta <= 0 or not finite.
    """
    if not (math.isfinite(eta) and eta > 0):
        raise UsageError(f"eta = {eta:g} is not allowed: give a step size > 0")


def check_seed(seed: int) -> None:
    """Refuse a seed below 0.

    Raises:
        UsageError: the seed is below 0.
    """
    if seed < 0:
        raise UsageError(f"seed = {seed} is not allowed: give a whole number from 0")


def check_size(name: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        UsageError: the value is below 1.
    """
    if value < 1:
        raise UsageError(f"{name} = {value} is not allowed: give a whole number of at least 1")
