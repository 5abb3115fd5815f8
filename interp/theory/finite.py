"""Finite width and reused data: modes of the closed flow for one draw of A(0) or of the data.

K = A0 Lambda A0^T / N and b = A0 Lambda w*. With reused data both contain G = Psi^T Psi / P instead of Lambda, and only
the test loss keeps Lambda. Modes beyond 8 N are replaced by their mean, K += (sum of lambda) I / N, and in b by
noise of their variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange, check_size, check_task
from .flow import Modes
from .spectrum import tail

ROUNDING = 1e-12
"""Share of the initial loss below which a residual is rounding error and set to 0."""
EXACT_PER_N = 8
"""Number of modes that are treated one by one, in units of the width."""


def projected(alpha: float, beta: float, n: int, rng: np.random.Generator, m: int | None = None) -> Modes:
    """Modes of a model of width n on the population for one draw of A(0); infinitely many modes unless ``m`` is given.

    Raises:
        OutOfRange: n < 1, alpha <= 1 or beta <= 0.
    """
    return nested(alpha, beta, [n], rng, m)[0]


def nested(
    alpha: float, beta: float, widths: Sequence[int], rng: np.random.Generator, m: int | None = None
) -> list[Modes]:
    """Modes at several widths from one draw: its first n rows are the model of width n, so widths are comparable.

    Raises:
        OutOfRange: a width < 1, alpha <= 1 or beta <= 0.
    """
    check_task(alpha, beta)
    return [kernel.modes(beta) for kernel in kernels(alpha, widths, rng, m)]


@dataclass(frozen=True)
class Kernel:
    """Kernel K of one width in its eigenbasis, which does not depend on beta."""

    alpha: float
    sigma: Float[np.ndarray, " n"]
    V: Float[np.ndarray, "n n"]
    A: Float[np.ndarray, "n m"]
    rest: Float[np.ndarray, " n"] | None
    """Standard normal numbers that replace A(0) times the target's modes beyond m; None if there are none."""

    def modes(self, beta: float) -> Modes:
        """Modes of the flow for the task of this beta."""
        alpha, (n, m) = self.alpha, self.A.shape
        k = np.arange(1, m + 1, dtype=np.float64)
        lam, w_star = k**-alpha, k ** (-0.5 - alpha * (beta - 1) / 2)
        b, start = self.A @ (lam * w_star), float((lam * w_star**2).sum())
        if self.rest is not None:
            b = b + np.sqrt(tail(1 + alpha + alpha * beta, m)) * self.rest
            start += tail(1 + alpha * beta, m)
        return _modes(self.sigma, self.V.T @ b / np.sqrt(n), start)


def kernels(alpha: float, widths: Sequence[int], rng: np.random.Generator, m: int | None = None) -> list[Kernel]:
    """Kernels of one draw of A(0) at several widths, as in ``nested``.

    Raises:
        OutOfRange: a width < 1.
    """
    for n in widths:
        check_size("n", n)
    widest = max(widths)
    n_modes = EXACT_PER_N * widest if m is None else m
    A = rng.standard_normal((widest, n_modes))
    K = (A * np.arange(1, n_modes + 1, dtype=np.float64) ** -alpha) @ A.T
    rest = None
    if m is None:
        K += tail(alpha, n_modes) * np.eye(widest)
        rest = rng.standard_normal(widest)
    drawn = []
    for n in widths:
        sigma, V = np.linalg.eigh(K[:n, :n] / n)
        drawn.append(Kernel(alpha, _live(sigma)[::-1], V[:, ::-1], A[:n], None if rest is None else rest[:n]))
    return drawn


def kernel_bytes(n: int, m: int | None = None) -> int:
    """Bytes of memory that ``kernels`` takes for a largest width n and m modes (None: infinitely many)."""
    n_modes = EXACT_PER_N * n if m is None else m
    return 8 * (2 * n * n_modes + 3 * n**2)


def _modes(sigma: Float[np.ndarray, " n"], drive: Float[np.ndarray, " n"], start: float) -> Modes:
    live = sigma > 0
    residual = start - float((drive[live] ** 2 / sigma[live]).sum())
    return Modes(sigma, np.where(live, drive, 0.0), residual if residual > ROUNDING * start else 0.0)


def _live(sigma: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Eigenvalues, with mere rounding errors set to 0."""
    return np.where(sigma > sigma.max() * len(sigma) * np.finfo(float).eps, sigma, 0.0)


def reused(
    lam: Float[np.ndarray, " m"],
    w_star: Float[np.ndarray, " m"],
    Psi: Float[np.ndarray, "p m"],
    A: Float[np.ndarray, "n m"] | None = None,
) -> Modes:
    """Modes of full-batch training on the rows of ``Psi``, tested on the population; ``A`` None means infinite width.

    Raises:
        OutOfRange: values that are not finite.
    """
    if not np.isfinite(Psi).all():
        raise OutOfRange("the data have values that are not finite: remove the rows that hold them")
    A0 = np.sqrt(len(lam)) * np.eye(len(lam)) if A is None else A
    n, features = len(A0), A0 @ Psi.T
    K, b = features @ features.T / (n * len(Psi)), features @ (Psi @ w_star) / len(Psi)
    sigma, V = np.linalg.eigh(K)
    sigma, V = _live(sigma)[::-1], V[:, ::-1]
    drive = V.T @ b / np.sqrt(n)
    test_K, test_b = (A0 * lam) @ A0.T / n, A0 @ (lam * w_star)
    start = float((lam * w_star**2).sum())
    return Modes(sigma, drive, 0.0, (start, V.T @ test_b / np.sqrt(n), V.T @ test_K @ V))
