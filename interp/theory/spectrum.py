"""Power-law tasks: eigenvalues k^-alpha, target power k^-(1 + alpha beta); mode by mode or in bins, up to 1e12.

Source and capacity conditions as in Bordelon et al. 2024 (2409.17858); sums over bins are Hurwitz zeta functions.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import zeta

from .checks import OutOfRange, check_task

EXACT = 200
"""Number of modes that are kept one by one; the others are in bins."""
BINS_PER_DECADE = 40
INFINITE = 10**12
"""Number of modes of an infinite task; more if eigenvalues are still above ``SMALLEST`` there."""
SMALLEST = 1e-24
"""Eigenvalue of the last mode of an infinite task, at most."""


@dataclass(frozen=True)
class Spectrum:
    """Kernel eigenvalues and the target's power, in groups of modes that share an eigenvalue."""

    lam: Float[np.ndarray, " groups"]
    """Eigenvalue of the modes of each group, in descending order."""
    power: Float[np.ndarray, " groups"]
    """Sum over the group of lambda_k w*_k^2."""
    counts: Float[np.ndarray, " groups"]
    """Number of modes in each group."""
    beyond: float = 0.0
    """Power of the modes beyond the last group, which count as never learned."""
    trace_beyond: float = 0.0
    """Sum of the eigenvalues beyond the last group, each practically 0."""

    @property
    def w_star(self) -> Float[np.ndarray, " groups"]:
        """Length of the target's coefficients in each group: a group acts as one mode with its total power."""
        return np.sqrt(self.power / self.lam)

    @property
    def trace(self) -> float:
        """Sum of all eigenvalues."""
        return float((self.counts * self.lam).sum()) + self.trace_beyond

    @property
    def loss(self) -> float:
        """Loss of f = 0: the sum of the power."""
        return float(self.power.sum()) + self.beyond


def power_law(alpha: float, beta: float, m: int | None = None) -> Spectrum:
    """The task of modes 1..m (infinitely many by default): one by one up to ``EXACT``, then in bins.

    The sums of power and of eigenvalues over a bin are exact; the bin's eigenvalue is the mean of its modes. With
    ``BINS_PER_DECADE`` bins per decade the eigenvalues within a bin differ by alpha times 6%.

    Raises:
        OutOfRange: alpha <= 1, beta <= 0, or m < 1.
    """
    check_task(alpha, beta)
    beyond = trace_beyond = 0.0
    if m is None:
        m = max(INFINITE, math.ceil(SMALLEST ** (-1 / alpha)))
        beyond, trace_beyond = tail(1 + alpha * beta, m), tail(alpha, m)
    if m < 1:
        raise OutOfRange(f"{m} modes are not allowed: give at least 1")
    n_exact = min(m, EXACT)
    edges = [float(n_exact + 1)]
    if m > n_exact:
        n_bins = math.ceil(math.log10(m / n_exact) * BINS_PER_DECADE)
        inner = np.unique(np.round(np.geomspace(n_exact + 1, float(m + 1), n_bins + 1)))
        edges = inner.tolist()
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    k = np.arange(1, n_exact + 1, dtype=np.float64)
    counts = np.concatenate([np.ones(n_exact), high - low])
    lam = np.concatenate([k**-alpha, _sums(alpha, low, high) / (high - low)])
    power = np.concatenate([k ** -(1 + alpha * beta), _sums(1 + alpha * beta, low, high)])
    return Spectrum(lam, power, counts, beyond, trace_beyond)


def _sums(s: float, low: Float[np.ndarray, " bins"], high: Float[np.ndarray, " bins"]) -> Float[np.ndarray, " bins"]:
    """Sums of k^-s for low <= k < high: differences of Hurwitz zeta, or the integral where differences cancel."""
    if not len(low):
        return np.zeros(0)
    middle = (low - 0.5) ** (1 - s) - (high - 0.5) ** (1 - s)  # midpoint rule: relative error s(s+1)/24 k^-2
    exact = zeta(s, low) - zeta(s, high)
    return np.where(low < 1e4, exact, middle / (s - 1))


def tail(s: float, m: int) -> float:
    """Sum of k^-s over k > m."""
    return float(zeta(s, m + 1))
