"""Compute-optimal fronts: the best loss at compute C = N t over widths, from the closed flow, averaged over A(0)."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from train.errors import UsageError

from .finite import nested
from .flow import flow

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
        """Loss falls as C^-r, the best width grows as C^n: least squares over the envelope.

        Raises:
            UsageError: the envelope holds fewer than ``LEAST`` points: give more widths.
        """
        C, losses, widths = self.best
        if len(C) < LEAST:
            raise UsageError(f"{len(C)} points on the front: give a wider range of widths, at least five of them")
        r, n = (np.polyfit(np.log(C), np.log(y), 1)[0] for y in (losses, widths))
        return -float(r), float(n)


def front(
    alpha: float, beta: float, gamma: float, widths: Sequence[int], draws: int = 4, seed: int = 0, per_decade: int = 20
) -> Front:
    """Curves of the projected model of infinitely many modes, each the mean over ``draws`` of A(0).

    Compute goes to 3 N^(1 + alpha) of the largest width, past which every width sits on its plateau.

    Raises:
        UsageError: fewer than 3 widths, alpha <= 1, beta <= 0 or gamma < 0.
    """
    if len(widths) < 3:
        raise UsageError(f"{len(widths)} widths are too few for a front: give at least 3, rising")
    n, rng = np.array(sorted(widths), dtype=np.float64), np.random.default_rng(seed)
    t_max = 3 * n.max() ** alpha
    decades = np.log10(n.max() * t_max)
    compute = np.geomspace(n.min(), n.max() * t_max, int(decades * per_decade))
    found = np.zeros((len(n), len(compute)))
    for _ in range(draws):
        for i, modes in enumerate(nested(alpha, beta, [int(width) for width in n], rng)):
            found[i] += flow(modes, gamma, t_max, 40).at(compute / n[i]) / draws
    t = compute / n[:, None]
    return Front(n, compute, np.where((t >= FIRST) & (t <= t_max), found, np.nan))
