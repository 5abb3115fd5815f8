"""Compute-optimal fronts: the best loss at compute C = N t over widths, averaged over A(0).

From the closed flow; the lazy model's from the exact mean over batches too.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from train.errors import UsageError

from .finite import nested
from .flow import Modes, flow
from .sgd import lazy_sgd

FIRST = 1.0
"""Earliest time on the front: the first e-fold of the largest mode."""
LEAST = 5
"""Points of the envelope that exponents take."""


@dataclass(frozen=True)
class Front:
    """Losses over compute for each width, and their lower envelope where it is inside the widths given."""

    n: Float[np.ndarray, " widths"]
    compute: Float[np.ndarray, " cs"]
    loss: Float[np.ndarray, "widths cs"]
    """NaN at times outside the curve."""

    @property
    def inner(self) -> np.ndarray:
        """Where the best width is neither the smallest nor the largest."""
        best = np.nan_to_num(self.loss, nan=np.inf).argmin(axis=0)
        return (best > 0) & (best < len(self.n) - 1)

    @functools.cached_property
    def best(self) -> tuple[Float[np.ndarray, " inner"], Float[np.ndarray, " inner"], Float[np.ndarray, " inner"]]:
        """Compute, loss and width of the envelope; between widths by a parabola in log N through the three best."""
        C, losses, widths = [], [], []
        for j in np.flatnonzero(self.inner):
            i = int(np.nan_to_num(self.loss[:, j], nan=np.inf).argmin())
            x, y = np.log(self.n[i - 1 : i + 2]), np.log(self.loss[i - 1 : i + 2, j])
            if not np.isfinite(y).all():
                continue
            a, b, c = np.polyfit(x, y, 2)
            C.append(self.compute[j])
            widths.append(np.exp(-b / (2 * a)))
            losses.append(np.exp(c - b * b / (4 * a)))
        return np.array(C), np.array(losses), np.array(widths)

    def exponents(self) -> tuple[float, float]:
        """Loss falls as C^-r, the best width grows as C^n, and the best time C/N as C^(1 - n): least squares.

        Raises:
            UsageError: the envelope holds fewer than ``LEAST`` points: give more widths.
        """
        C, losses, widths = self.best
        if len(C) < LEAST:
            raise UsageError(f"{len(C)} points on the front: give a wider range of widths, at least five of them")
        r, n = (np.polyfit(np.log(C), np.log(y), 1)[0] for y in (losses, widths))
        return -float(r), float(n)


def front(
    alpha: float,
    beta: float,
    gamma: float,
    widths: Sequence[int],
    draws: int = 4,
    seed: int = 0,
    per_decade: int = 20,
    b: int | None = None,
    eta: float | None = None,
) -> Front:
    """Curves of the projected model of infinitely many modes, each the mean over ``draws`` of A(0).

    Compute goes to 3 N^(1 + alpha) of the largest width, past which every width sits on its plateau. With fresh batches
    of ``b`` samples at step size ``eta`` the model is lazy: rich, no theory goes to such times.

    Raises:
        UsageError: fewer than 3 widths, alpha <= 1, beta <= 0 or gamma < 0; b without eta, or with gamma > 0.
        DataError: a step size that is unstable.
    """
    if len(widths) < 3:
        raise UsageError(f"{len(widths)} widths are too few for a front: give at least 3, rising")
    if b is not None and gamma != 0:
        raise UsageError(f"gamma = {gamma:g} with batches of b = {b} is not allowed: give gamma 0, or leave out b")
    if (b is None) != (eta is None):
        raise UsageError("b and eta go together: give both, or neither for gradient flow on the population")
    n = np.array(sorted(widths), dtype=np.float64)
    t_max = 3 * n.max() ** alpha
    decades = np.log10(n.max() * t_max)
    compute = np.geomspace(n.min(), n.max() * t_max, int(decades * per_decade))

    def loss(modes: Modes, t: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
        return flow(modes, gamma, t_max, 40).at(t) if eta is None else lazy_sgd(modes, eta, b, t / eta)

    found = np.zeros((len(n), len(compute)))
    for drawn in _drawn(alpha, beta, tuple(int(width) for width in n), draws, seed):
        for i, modes in enumerate(drawn):
            found[i] += loss(modes, compute / n[i]) / draws
    t = compute / n[:, None]
    return Front(n, compute, np.where((t >= FIRST) & (t <= t_max), found, np.nan))


@functools.lru_cache(maxsize=1)
def _drawn(alpha: float, beta: float, widths: tuple[int, ...], draws: int, seed: int) -> list[list[Modes]]:
    """The modes of every draw, widths from one A(0); kept for the next gamma."""
    rng = np.random.default_rng(seed)
    return [nested(alpha, beta, widths, rng) for _ in range(draws)]
