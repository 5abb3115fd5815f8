"""Compute-optimal fronts: the best loss over widths at compute C = N t, averaged over A(0).

Losses come from the closed flow, or from the exact mean over batches for a lazy model with batches. The command is
``python -m interp.scaling front``.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange, check_size, check_task
from .finite import kernels
from .flow import Modes, flow
from .sgd import lazy_sgd

FIRST = 1.0
"""Earliest time on the front: the first e-fold of the largest mode."""
LEAST = 3
"""Smallest number of kinks of the envelope from which exponents are fitted."""


@dataclass(frozen=True)
class Front:
    """Losses over compute for each width; the lower envelope of the curves is the front."""

    n: Float[np.ndarray, " widths"]
    compute: Float[np.ndarray, " cs"]
    loss: Float[np.ndarray, "widths cs"]
    """NaN at times outside a width's curve."""

    @functools.cached_property
    def kinks(self) -> tuple[Float[np.ndarray, " kinks"], Float[np.ndarray, " kinks"], Float[np.ndarray, " kinks"]]:
        """Compute, loss and width of the envelope's kinks, where it passes from one width to the next.

        The width of a kink is the geometric mean of the two widths. Curves cross once, unless they nearly touch; the
        last crossing counts.
        """
        kinks = []
        for i in range(len(self.n) - 1):
            gap = np.log(self.loss[i + 1] / self.loss[i])
            after = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0)) + 1
            if not len(after):
                continue
            j = int(after[-1])
            share = gap[j - 1] / (gap[j - 1] - gap[j])
            both = np.log([self.compute, self.loss[i]])
            C, loss = np.exp((1 - share) * both[:, j - 1] + share * both[:, j])
            kinks.append((C, loss, np.sqrt(self.n[i] * self.n[i + 1])))
        C, losses, widths = np.array(kinks).reshape(-1, 3).T
        return C, losses, widths

    def exponents(self) -> tuple[float, float]:
        """Exponents r and n by least squares: loss falls as C^-r, the best width grows as C^n, time as C^(1-n).

        Raises:
            OutOfRange: the envelope has fewer than ``LEAST`` kinks: give more widths.
        """
        C, losses, widths = self.kinks
        if len(C) < LEAST:
            raise OutOfRange(f"{len(C)} kinks on the front: give a wider range of widths, at least five of them")
        r, n = (np.polyfit(np.log(C), np.log(y), 1)[0] for y in (losses, widths))
        return -float(r), float(n)


def fronts(
    alpha: float,
    tasks: Sequence[tuple[float, float]],
    widths: Sequence[int],
    draws: int = 4,
    seed: int = 0,
    per_decade: int = 20,
    b: int | None = None,
    eta: float | None = None,
) -> list[Front]:
    """Fronts of several tasks (beta, gamma): the projected model of infinitely many modes, averaged over A(0).

    Compute goes up to 3 N^(1 + alpha) of the largest width, beyond which every width is on its plateau. With fresh
    batches of ``b`` samples at step size ``eta`` the model must be lazy, because no theory of rich training covers such
    times.

    Raises:
        OutOfRange: fewer than 3 widths, a width or draws below 1, alpha <= 1, beta <= 0 or gamma < 0; b without eta, or
            with gamma > 0.
        Unsolvable: the step size is unstable.
    """
    _check(alpha, tasks, widths, draws, b, eta)
    n, rng = np.array(sorted(widths), dtype=np.float64), np.random.default_rng(seed)
    t_max = 3 * n.max() ** alpha
    decades = np.log10(n.max() * t_max / n.min())
    compute = np.geomspace(n.min(), n.max() * t_max, int(decades * per_decade))

    def loss(modes: Modes, gamma: float, t: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
        return flow(modes, gamma, t_max, 40).at(t) if eta is None else lazy_sgd(modes, eta, b, t / eta)

    losses = np.zeros((len(tasks), len(n), len(compute)))
    for _ in range(draws):
        for i, kernel in enumerate(kernels(alpha, [int(width) for width in n], rng)):
            for j, (beta, gamma) in enumerate(tasks):
                losses[j, i] += loss(kernel.modes(beta), gamma, compute / n[i]) / draws
    t = compute / n[:, None]
    return [Front(n, compute, np.where((t >= FIRST) & (t <= t_max), one, np.nan)) for one in losses]


def _check(
    alpha: float,
    tasks: Sequence[tuple[float, float]],
    widths: Sequence[int],
    draws: int,
    b: int | None,
    eta: float | None,
) -> None:
    """Refuse arguments of ``fronts`` that are out of range or conflict.

    Raises:
        OutOfRange: as ``fronts``.
    """
    if len(widths) < 3:
        raise OutOfRange(f"{len(widths)} widths are too few for a front: give at least 3, rising")
    for name, size in (("draws", draws), ("width", min(widths))):
        check_size(name, size)
    for beta, gamma in tasks:
        check_task(alpha, beta)
        if b is not None and gamma != 0:
            raise OutOfRange(f"gamma = {gamma:g} with batches of b = {b} is not allowed: give gamma 0, or leave out b")
    if (b is None) != (eta is None):
        raise OutOfRange("b and eta go together: give both, or neither for gradient flow on the population")
