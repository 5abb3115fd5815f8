"""The mean field theory plus the terms of first order in 1/N and 1/B that its equations omit.

The equations of ``dmft`` are exact if very many modes matter equally. In a power law few modes matter, and terms that
are omitted are as large as those included: the equations include half of the pairings of the real symmetric matrix
A(0)^T A(0)/N, and ignore fluctuations of inner products such as |w|^2 (with batches too, once features are learned).
This module computes the complete first order: the loss is a function of W = A(0)^T A(0)/N and of the batches' G_t, and
    E L = L(1, Lambda) + (1/N) c_N + (1/B) c_B + ...,  c = half the second derivative along the covariance,
    N Cov W_ij = 1 (i != j), 2 (i = j);  B Cov (G_t v_t) = Lambda L_t + Lambda v_t v_t^T Lambda (normal features).
In mode space, with h = A(0) z, w = A(0) y and g = A(0) x, gradient descent depends on A(0) only through W:
    x_t = G_t v_t,  v_t = w* - W z_t,  z_t = y_t + eta gamma sum_{s<t} x_s (y_s.W y_t),
    y_{t+1} = y_t + eta x_t + eta^2 gamma sum_{s<t} y_s (x_s.W x_t).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from .dmft import dmft
from .spectrum import Spectrum

EXACT, BINS = 16, 20
"""Number of modes that the corrections treat one by one, and number of bins for all other modes."""
EPSILON = 1e-2
"""Step of the second differences, relative to the entries of W (of order 1) or to the size of the batch noise."""
CHUNK = 64
"""Number of directions that are differentiated at once."""
NEARLY_INFINITE = 20_000
"""Width and batch size at which the mean field theory's own first order is measured."""
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
    """Mean loss at steps 0..n_steps - 1 by the mean field theory, complete to first order in 1/N and 1/B.

    Raises:
        OutOfRange: as ``dmft``.
        Unsolvable: as ``dmft``.
    """
    theory = dmft(spectrum, gamma, eta, n_steps, n, b)
    if n is None and b is None:
        return theory
    coarse = merged(spectrum)
    full = first_order(coarse, gamma, eta, n_steps)
    if n is not None:
        theory = theory + (full.per_n - _included(coarse, gamma, eta, n_steps, full.wide, "n")) / n
    if b is not None:
        theory = theory + (full.per_b - _included(coarse, gamma, eta, n_steps, full.wide, "b")) / b
    return theory


def first_order(spectrum: Spectrum, gamma: float, eta: float, n_steps: int) -> FirstOrder:
    """The first order, from second differences of the loss along every direction in which W or a batch fluctuates."""
    modes = _Modes.of(spectrum)
    unperturbed = np.zeros((1, 2), dtype=int)
    wide, v = (result[0] for result in _descent(modes, gamma, eta, n_steps, unperturbed, 0.0))
    pairs = np.array([(i, j) for i in range(len(modes.lam)) for j in range(i + 1) if modes.w[i] or modes.w[j]])
    weight = np.where(pairs[:, 0] == pairs[:, 1], 2.0, modes.count[pairs].prod(axis=1))
    per_n, per_b = np.zeros(n_steps), np.zeros(n_steps)
    for start in range(0, len(pairs), CHUNK):
        chunk = slice(start, start + CHUNK)
        ends = (_descent(modes, gamma, eta, n_steps, pairs[chunk], sign * EPSILON)[0] for sign in (1, -1))
        per_n += weight[chunk] @ (sum(ends) - 2 * wide) / (2 * EPSILON**2)
    count = np.append(modes.count, 1.0)
    for step in range(n_steps - 1):
        kicks = np.vstack([np.diag(np.sqrt(modes.lam * wide[step])), modes.lam * v[step]])
        none = unperturbed.repeat(len(kicks), 0)
        ends = (_descent(modes, gamma, eta, n_steps, none, 0.0, step, sign * EPSILON * kicks)[0] for sign in (1, -1))
        per_b += count @ (sum(ends) - 2 * wide) / (2 * EPSILON**2)
    return FirstOrder(wide, per_n, per_b)


def merged(spectrum: Spectrum) -> Spectrum:
    """The task in fewer groups of modes, which are enough for the small corrections."""
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
    """Each group as one mode along the target and one mode (w* = 0) that represents all other modes of the group."""

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
    mirrored = np.where(i == j, 0.0, epsilon)

    def W(a: Float[np.ndarray, "runs modes"]) -> Float[np.ndarray, "runs modes"]:
        out = a.copy()
        out[runs, i] += epsilon * a[runs, j]
        out[runs, j] += mirrored * a[runs, i]
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
    """The sum over s of a_s (b_s.c)."""
    return ((b @ c[:, :, None]).mT @ a)[:, 0]


def _included(
    spectrum: Spectrum, gamma: float, eta: float, n_steps: int, wide: Float[np.ndarray, " T"], name: str
) -> Float[np.ndarray, " T"]:
    """The mean field theory's own first order in 1/N or 1/B: slopes at two small values, extrapolated to 0."""
    near, far = (
        size * (dmft(spectrum, gamma, eta, n_steps, **{name: size}, tolerance=PRECISE) - wide)
        for size in (2 * NEARLY_INFINITE, NEARLY_INFINITE)
    )
    return 2 * near - far
