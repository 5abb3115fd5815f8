"""Finite width and reused data: the modes of the closed flow for one draw of A(0), or of the data.

Specification: K = A0 Lambda A0^T / N, b = A0 Lambda w*; with reused data Lambda is G = Psi^T Psi / P in both, and the
test loss keeps Lambda. Modes beyond 8 N enter as their mean: K += (sum of lambda) I / N, b += noise of their variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from train.engine.memory import check_fits
from train.errors import UsageError
from train.scaling.checks import check_size, check_task

from .flow import Modes
from .spectrum import tail

ROUNDING = 1e-12
"""A residual below this share of the loss at the start is none."""
EXACT_PER_N = 8
"""Modes kept one by one, in units of the width."""


def projected(alpha: float, beta: float, n: int, rng: np.random.Generator, m: int | None = None) -> Modes:
    """Width n on the population: one draw of A(0). ``m`` modes; infinitely many where not given.

    Raises:
        UsageError: n < 1, alpha <= 1 or beta <= 0.
    """
    return nested(alpha, beta, [n], rng, m)[0]


def nested(
    alpha: float, beta: float, widths: Sequence[int], rng: np.random.Generator, m: int | None = None
) -> list[Modes]:
    """Several widths from one draw: the first n rows of A(0) are the model of width n, so that widths compare.

    Raises:
        UsageError: a width < 1, alpha <= 1 or beta <= 0.
    """
    check_task(alpha, beta)
    return [kernel.modes(beta) for kernel in kernels(alpha, widths, rng, m)]


@dataclass(frozen=True)
class Kernel:
    """K of one width in its eigenbasis, which serves every beta."""

    alpha: float
    sigma: Float[np.ndarray, " n"]
    V: Float[np.ndarray, "n n"]
    A: Float[np.ndarray, "n m"]
    rest: Float[np.ndarray, " n"] | None
    """Standard normal numbers, which stand for A(0) times the target's modes beyond m; None where there are none."""

    def modes(self, beta: float) -> Modes:
        """Those of the flow for the task of this beta."""
        alpha, (n, m) = self.alpha, self.A.shape
        k = np.arange(1, m + 1, dtype=np.float64)
        lam, w_star = k**-alpha, k ** (-0.5 - alpha * (beta - 1) / 2)
        b, start = self.A @ (lam * w_star), float((lam * w_star**2).sum())
        if self.rest is not None:
            b = b + np.sqrt(tail(1 + alpha + alpha * beta, m)) * self.rest
            start += tail(1 + alpha * beta, m)
        return _modes(self.sigma, self.V.T @ b / np.sqrt(n), start)


def kernels(alpha: float, widths: Sequence[int], rng: np.random.Generator, m: int | None = None) -> list[Kernel]:
    """One draw of A(0) at several widths, as ``nested``."""
    for n in widths:
        check_size("n", n)
    most = max(widths)
    kept = EXACT_PER_N * most if m is None else m
    check_fits(8 * (2 * most * kept + 3 * most**2), f"a width of {most:,}", "n")
    A = rng.standard_normal((most, kept))
    K = (A * np.arange(1, kept + 1, dtype=np.float64) ** -alpha) @ A.T
    rest = None
    if m is None:
        K += tail(alpha, kept) * np.eye(most)
        rest = rng.standard_normal(most)
    found = []
    for n in widths:
        sigma, V = np.linalg.eigh(K[:n, :n] / n)
        found.append(Kernel(alpha, _live(sigma)[::-1], V[:, ::-1], A[:n], None if rest is None else rest[:n]))
    return found


def given(A: Float[np.ndarray, "n m"], lam: Float[np.ndarray, " m"], w_star: Float[np.ndarray, " m"]) -> Modes:
    """The population modes of one A(0)."""
    sigma, V = np.linalg.eigh((A * lam) @ A.T / len(A))
    drive = V.T @ (A @ (lam * w_star)) / np.sqrt(len(A))
    return _modes(_live(sigma)[::-1], drive[::-1], float((lam * w_star**2).sum()))


def _modes(sigma: Float[np.ndarray, " n"], drive: Float[np.ndarray, " n"], start: float) -> Modes:
    live = sigma > 0
    residual = start - float((drive[live] ** 2 / sigma[live]).sum())
    return Modes(sigma, np.where(live, drive, 0.0), residual if residual > ROUNDING * start else 0.0)


def _live(sigma: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Eigenvalues, those that are rounding alone as 0."""
    return np.where(sigma > sigma.max() * len(sigma) * np.finfo(float).eps, sigma, 0.0)


def reused(
    lam: Float[np.ndarray, " m"],
    w_star: Float[np.ndarray, " m"],
    Psi: Float[np.ndarray, "p m"],
    A: Float[np.ndarray, "n m"] | None = None,
) -> Modes:
    """Training on the rows of ``Psi`` again and again, tested on the population; infinite width where A is not given.

    Raises:
        UsageError: values that are not finite.
    """
    if not np.isfinite(Psi).all():
        raise UsageError("the data have values that are not finite: leave out those rows")
    A0 = np.sqrt(len(lam)) * np.eye(len(lam)) if A is None else A
    n, features = len(A0), A0 @ Psi.T
    K, b = features @ features.T / (n * len(Psi)), features @ (Psi @ w_star) / len(Psi)
    sigma, V = np.linalg.eigh(K)
    sigma, V = _live(sigma)[::-1], V[:, ::-1]
    drive = V.T @ b / np.sqrt(n)
    test_K, test_b = (A0 * lam) @ A0.T / n, A0 @ (lam * w_star)
    start = float((lam * w_star**2).sum())
    return Modes(sigma, drive, 0.0, (start, V.T @ test_b / np.sqrt(n), V.T @ test_K @ V))
