"""The closed gradient flow of the projected two-layer linear model: N numbers, any gamma, times to 1e8 and beyond.

Derived from the model of Bordelon et al. 2024 (2409.17858): with A(t) = B(t) A(0), gradient flow
conserves B B^T - (gamma/N) w w^T = I. In the eigenbasis of K = A(0) Lambda A(0)^T / N, u = B^T w / sqrt(N) obeys
    du/dt = q (sigma u* - sigma u) + (gamma/q) s u, s = sum u (sigma u* - sigma u), q = (1 + sqrt(1 + 4 gamma |u|^2))/2.
With dtau = q dt, a step is exact for constant g = gamma s / q^2; each step corrects g once.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange, Unsolvable, check_gamma
from .spectrum import Spectrum

LATEST = 1e30
"""Largest time to which the flow is solved."""
STEPS_PER_DECADE = 80
FIRST = 1e-4
"""First step, in units of 1/sigma_max."""


@dataclass(frozen=True)
class Modes:
    """The quantities of a task and a model that determine the flow."""

    sigma: Float[np.ndarray, " modes"]
    """Eigenvalues of the training kernel."""
    drive: Float[np.ndarray, " modes"]
    """sigma u*, the training gradient at u = 0."""
    residual: float
    """Test loss of the best fit to the training distribution, if test and training distributions are the same."""
    test: tuple[float, Float[np.ndarray, " modes"], Float[np.ndarray, "modes modes"]] | None = None
    """If the distributions differ: (a, b, Q) of the test loss a - 2 b.u + u.Q u."""

    def loss(self, u: Float[np.ndarray, " modes"]) -> float:
        """Test loss at the state u."""
        if self.test is not None:
            start, linear, quadratic = self.test
            return float(start - 2 * linear @ u + u @ quadratic @ u)
        error, live = self.drive - self.sigma * u, self.sigma > 0  # sigma (u* - u): squares do not cancel
        return float(self.residual + (error[live] ** 2 / self.sigma[live]).sum())


@dataclass(frozen=True)
class Curve:
    """A loss curve of the flow."""

    t: Float[np.ndarray, " times"]
    """Time (eta times the number of updates), from 0."""
    loss: Float[np.ndarray, " times"]
    """Test loss, the sum of lambda_k v_k^2 (no 1/2)."""
    q: Float[np.ndarray, " times"]
    """Scale q of the kernel K(t) = q I + (gamma/q) u u^T; 1 at the start."""

    def at(self, t: Float[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """Loss at other times, with log loss linear in log t between points (in t before the first step)."""
        late = np.exp(np.interp(np.log(np.maximum(t, self.t[1])), np.log(self.t[1:]), np.log(self.loss[1:])))
        early = np.exp(np.interp(t, self.t[:2], np.log(self.loss[:2])))
        return np.where(t < self.t[1], early, late)


def wide(spectrum: Spectrum) -> Modes:
    """Modes of the model of infinite width, where sigma is lambda and u* is w*."""
    return Modes(spectrum.lam, spectrum.lam * spectrum.w_star, spectrum.beyond)


def flow(modes: Modes, gamma: float, t_max: float, steps_per_decade: int = STEPS_PER_DECADE) -> Curve:
    """Loss and kernel scale from t = 0 to ``t_max`` at log-spaced times.

    Raises:
        OutOfRange: gamma < 0, or t_max not positive.
        Unsolvable: modes that are not finite.
    """
    check_gamma(gamma)
    if not 0 < t_max <= LATEST:
        raise OutOfRange(f"t_max = {t_max:g} is not allowed: give a time > 0, up to {LATEST:g}")
    if not all(np.isfinite(x).all() for x in (modes.sigma, modes.drive, np.array(modes.residual))):
        raise Unsolvable("the kernel or the target has values that are not finite: check the data")
    u, t, tau, q = np.zeros_like(modes.sigma), 0.0, 0.0, 1.0
    next_tau = FIRST / float(modes.sigma.max())
    ratio = 10 ** (1 / steps_per_decade)
    times, losses, scales = [0.0], [modes.loss(u)], [1.0]
    while t < t_max:
        h = next_tau - tau
        u, dt, q = _step(modes, gamma, u, h, q)
        tau, next_tau = next_tau, next_tau * ratio
        t += dt
        times.append(t)
        losses.append(modes.loss(u))
        scales.append(q)
    return _ending_at(t_max, Curve(np.array(times), np.array(losses), np.array(scales)))


def _step(
    modes: Modes, gamma: float, u: Float[np.ndarray, " modes"], h: float, q: float
) -> tuple[Float[np.ndarray, " modes"], float, float]:
    """One step of length h in tau: the new u, the time that passes, and the new q."""
    if gamma == 0:
        return _exact(modes, u, h, 0.0), h, 1.0
    before = _growth(modes, gamma, u, q)
    trial = _exact(modes, u, h, before)
    after = _growth(modes, gamma, trial, scale(trial, gamma))
    u = _exact(modes, u, h, (before + after) / 2)
    new_q = scale(u, gamma)
    return u, h * (1 / q + 1 / new_q) / 2, new_q


def _exact(modes: Modes, u: Float[np.ndarray, " modes"], h: float, g: float) -> Float[np.ndarray, " modes"]:
    """Solution of du/dtau = drive - (sigma - g) u after h, for constant g."""
    z = (modes.sigma - g) * h
    small = np.abs(z) < 1e-12
    return np.exp(-z) * u + modes.drive * h * np.where(small, 1.0, -np.expm1(-z) / np.where(small, 1.0, z))


def _growth(modes: Modes, gamma: float, u: Float[np.ndarray, " modes"], q: float) -> float:
    return gamma * float(u @ (modes.drive - modes.sigma * u)) / q**2


def scale(u: Float[np.ndarray, " modes"], gamma: float) -> float:
    """Scale of the kernel, q = (1 + sqrt(1 + 4 gamma |u|^2)) / 2."""
    return (1 + float(np.sqrt(1 + 4 * gamma * (u @ u)))) / 2


def _ending_at(t_max: float, curve: Curve) -> Curve:
    """The curve with t_max as its last time."""
    q, loss = np.interp(t_max, curve.t, curve.q), curve.at(np.array([t_max]))
    return Curve(np.append(curve.t[:-1], t_max), np.append(curve.loss[:-1], loss), np.append(curve.q[:-1], q))
