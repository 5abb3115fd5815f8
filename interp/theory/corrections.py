"""The mean field theory with the terms of first order in 1/N and 1/B that its equations leave out.

The equations of ``dmft`` are exact where very many modes matter equally. In a power law few modes matter, and terms as
large as those kept are missing: A(0)^T A(0)/N fluctuates as a real symmetric matrix, of whose pairings only half are
kept, and inner products such as |w|^2 fluctuate (with batches too, once features are learned).
Here the whole first order is taken: the loss is a function of W = A(0)^T A(0)/N and of the batches' G_t, and
    E L = L(1, Lambda) + (1/N) c_N + (1/B) c_B + ...,  c = half the second derivative along the covariance,
    N Cov W_ij = 1 (i != j), 2 (i = j);  B Cov (G_t v_t) = Lambda L_t + Lambda v_t v_t^T Lambda (normal features).
In mode space, with h = A(0) z, w = A(0) y and g = A(0) x, gradient descent needs W alone:
    x_t = G_t v_t,  v_t = w* - W z_t,  z_t = y_t + eta gamma sum_{s<t} x_s (y_s.W y_t),
    y_{t+1} = y_t + eta x_t + eta^2 gamma sum_{s<t} y_s (x_s.W x_t).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from .dmft import dmft
from .spectrum import Spectrum

EXACT, BINS = 16, 20
"""Modes that are kept one by one in the corrections, and bins for all other modes."""
EPSILON = 1e-2
"""Step of second differences: along W, whose entries are of order 1; along batches' noise in units of its size."""
CHUNK = 64
"""Directions that are differentiated at once."""
NEARLY_INFINITE = 20_000
"""Width and batch size at which the mean field theory's own first order is read off."""
PRECISE = 1e-11
"""Relative change of the loss below which the theory has converged at ``NEARLY_INFINITE``."""


@dataclass(frozen=True)
class FirstOrder:
    """Loss at infinite width and batch size, and the coefficients of first order, at steps 0..T - 1."""

    wide: Float[np.ndarray, " T"]
    per_n: Float[np.ndarray, " T"]
    """Coefficient of 1/N."""
    per_b: Float[np.ndarray, " T"]
    """Coefficient of 1/B."""


def corrected_dmft(
    spectrum: Spectrum, gamma: float, eta: float, n_steps: int, n: int | None = None, b: int | None = None
) -> Float[np.ndarray, " T"]:
    """Mean loss at steps 0..n_steps - 1: the mean field theory, whole to first order in 1/N and 1/B.

    Raises:
        OutOfRange: as ``dmft``.
        Unsolvable: as ``dmft``.
    """
    theory = dmft(spectrum, gamma, eta, n_steps, n, b)
    if n is None and b is None:
        return theory
    coarse = merged(spectrum)
    whole = first_order(coarse, gamma, eta, n_steps)
    if n is not None:
        theory = theory + (whole.per_n - _kept(coarse, gamma, eta, n_steps, whole.wide, "n")) / n
    if b is not None:
        theory = theory + (whole.per_b - _kept(coarse, gamma, eta, n_steps, whole.wide, "b")) / b
    return theory


def first_order(spectrum: Spectrum, gamma: float, eta: float, n_steps: int) -> FirstOrder:
    """Second differences of the loss of gradient descent, along every direction in which W or a batch fluctuates."""
    modes = _Modes.of(spectrum)
    still = np.zeros((1, 2), dtype=int)
    wide, v = (found[0] for found in _descent(modes, gamma, eta, n_steps, still, 0.0))
    pairs = np.array([(i, j) for i in range(len(modes.lam)) for j in range(i + 1) if modes.w[i] or modes.w[j]])
    weight = np.where(pairs[:, 0] == pairs[:, 1], 2.0, modes.count[pairs].prod(axis=1))
    per_n, per_b = np.zeros(n_steps), np.zeros(n_steps)
    for at in range(0, len(pairs), CHUNK):
        some = pairs[at : at + CHUNK]
        ends = (_descent(modes, gamma, eta, n_steps, some, sign * EPSILON)[0] for sign in (1, -1))
        per_n += weight[at : at + CHUNK] @ (sum(ends) - 2 * wide) / (2 * EPSILON**2)
    count = np.append(modes.count, 1.0)
    for step in range(n_steps - 1):
        kicks = np.vstack([np.diag(np.sqrt(modes.lam * wide[step])), modes.lam * v[step]])
        ends = (
            _descent(modes, gamma, eta, n_steps, still.repeat(len(kicks), 0), 0.0, step, sign * EPSILON * kicks)[0]
            for sign in (1, -1)
        )
        per_b += count @ (sum(ends) - 2 * wide) / (2 * EPSILON**2)
    return FirstOrder(wide, per_n, per_b)


def merged(spectrum: Spectrum) -> Spectrum:
    """The task in fewer groups of modes: the corrections are small, and the coarser groups change them little."""
    if len(spectrum.lam) <= EXACT + BINS:
        return spectrum
    starts = np.unique(np.geomspace(EXACT, len(spectrum.lam), BINS + 1)[:-1].astype(int))
    starts = np.concatenate([np.arange(EXACT), starts[starts >= EXACT]])
    counts, trace, power = (
        np.add.reduceat(x, starts) for x in (spectrum.counts, spectrum.counts * spectrum.lam, spectrum.power)
    )
    return Spectrum(trace / counts, power, counts, spectrum.beyond)


@dataclass(frozen=True)
class _Modes:
    """Each group as one mode along the target and one mode (w* = 0) that stands for all other modes of the group."""

    lam: Float[np.ndarray, " modes"]
    w: Float[np.ndarray, " modes"]
    count: Float[np.ndarray, " modes"]
    beyond: float

    @classmethod
    def of(cls, spectrum: Spectrum) -> "_Modes":
        several = spectrum.counts > 1
        return cls(
            np.concatenate([spectrum.lam, spectrum.lam[several]]),
            np.concatenate([spectrum.w_star, np.zeros(several.sum())]),
            np.concatenate([np.ones(len(spectrum.lam)), spectrum.counts[several] - 1]),
            spectrum.beyond,
        )


def _descent(
    modes: _Modes,
    gamma: float,
    eta: float,
    n_steps: int,
    pairs: Int[np.ndarray, "runs 2"],
    epsilon: float,
    kicked: int | None = None,
    kicks: Float[np.ndarray, "runs modes"] | None = None,
) -> tuple[Float[np.ndarray, "runs T"], Float[np.ndarray, "runs T modes"]]:
    """Losses and errors v of runs with epsilon added to W at (i, j) and (j, i), or a kick added to x at one step."""
    runs, (i, j) = np.arange(len(pairs)), pairs.T
    apart = np.where(i == j, 0.0, epsilon)

    def W(a: Float[np.ndarray, "runs modes"]) -> Float[np.ndarray, "runs modes"]:
        out = a.copy()
        out[runs, i] += epsilon * a[runs, j]
        out[runs, j] += apart * a[runs, i]
        return out

    shape = (len(pairs), n_steps, len(modes.lam))
    x, y, Wx, Wy, v = (np.zeros(shape) for _ in range(5))
    for t in range(n_steps):
        past = slice(0, t)
        Wy[:, t] = W(y[:, t])
        z = y[:, t] + eta * gamma * _combined(x[:, past], Wy[:, past], y[:, t])
        v[:, t] = modes.w - W(z)
        x[:, t] = modes.lam * v[:, t]
        if kicks is not None and t == kicked:
            x[:, t] += kicks
        Wx[:, t] = W(x[:, t])
        if t + 1 < n_steps:
            grown = x[:, t] + eta * gamma * _combined(y[:, past], Wx[:, past], x[:, t])
            y[:, t + 1] = y[:, t] + eta * grown
    return (v**2) @ modes.lam + modes.beyond, v


def _combined(
    a: Float[np.ndarray, "runs s modes"], b: Float[np.ndarray, "runs s modes"], c: Float[np.ndarray, "runs modes"]
) -> Float[np.ndarray, "runs modes"]:
    """sum_s a_s (b_s.c)."""
    return ((b @ c[:, :, None]).mT @ a)[:, 0]


def _kept(
    spectrum: Spectrum, gamma: float, eta: float, n_steps: int, wide: Float[np.ndarray, " T"], name: str
) -> Float[np.ndarray, " T"]:
    """The mean field theory's own first order in 1/N or 1/B: slopes at two small values, extrapolated to 0."""
    near, far = (
        size * (dmft(spectrum, gamma, eta, n_steps, **{name: size}, tolerance=PRECISE) - wide)
        for size in (2 * NEARLY_INFINITE, NEARLY_INFINITE)
    )
    return 2 * near - far
