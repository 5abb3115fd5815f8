"""Checks of the solvable model's parameters: each message says what came and what is allowed."""

import math

from train.errors import UsageError

LARGEST = 20.0
"""Of alpha and beta: past it eigenvalues and powers leave the range of a float64."""


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
    """Refuse strengths of feature learning that are none.

    Raises:
        UsageError: gamma < 0 or not finite.
    """
    if not 0 <= gamma <= 1e12:
        raise UsageError(f"gamma = {gamma:g} is not allowed: give gamma >= 0 (0 is lazy), up to 1e12")


def check_step_size(eta: float) -> None:
    """Refuse step sizes that are none.

    Raises:
        UsageError: eta <= 0 or not finite.
    """
    if not (math.isfinite(eta) and eta > 0):
        raise UsageError(f"eta = {eta:g} is not allowed: give a step size > 0")


def check_seed(seed: int) -> None:
    """Refuse seeds below 0.

    Raises:
        UsageError: it is.
    """
    if seed < 0:
        raise UsageError(f"seed = {seed} is not allowed: give a whole number from 0")


def check_size(name: str, value: int) -> None:
    """Refuse a number of things below 1.

    Raises:
        UsageError: it is.
    """
    if value < 1:
        raise UsageError(f"{name} = {value} is not allowed: give a whole number of at least 1")
