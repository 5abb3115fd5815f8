"""Dynamical mean field theory of gradient descent in discrete time: finite width and fresh batches, lazy or rich.

The structure is that of the appendix of Bordelon et al. 2024 (2409.17858): two-time objects are T x T matrices, solved
by damped iteration. H_k is the response of mode k, R3 and Gw are those of the projected gradient and of the readout; Q
is the noise of the random projection, Sigma2 the noise of batches. The equations are exact if very many modes matter
equally; if few do, ``corrections`` adds the missing terms.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import Unsolvable, check_gamma, check_size, check_step_size
from .spectrum import Spectrum

DAMPING = 0.7
"""Share of the new value in each iteration."""
TOLERANCE = 1e-7
"""Relative change of the loss below which the iteration has converged."""
ITERATIONS = 200
"""Maximum number of iterations."""

Matrix = Float[np.ndarray, "T T"]


@dataclass(frozen=True)
class _State:
    """State between iterations: correlations of the projected gradient and of the readout, response, loss."""

    C3: Matrix
    Cw: Matrix
    C3w: Matrix
    R3: Matrix
    loss: Float[np.ndarray, " T"]


def dmft(
    spectrum: Spectrum,
    gamma: float,
    eta: float,
    n_steps: int,
    n: int | None = None,
    b: int | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Float[np.ndarray, " T"]:
    """Mean loss at steps 0..n_steps - 1; ``n`` None means infinite width, ``b`` None the population's gradient.

    Groups of modes are weighted by their numbers of modes. Time and memory grow at least as groups times n_steps^2, so
    a few hundred steps are the limit in practice.

    Raises:
        OutOfRange: gamma < 0, eta <= 0, n_steps, n or b below 1.
        Unsolvable: the iteration diverges or does not converge: gradient descent is unstable, or nearly so.
    """
    check_gamma(gamma)
    check_step_size(eta)
    for name, value in (("n_steps", n_steps), ("n", n), ("b", b)):
        if value is not None:
            check_size(name, value)
    zero = np.zeros((n_steps, n_steps))
    state = _State(zero, zero, zero, np.eye(n_steps), np.full(n_steps, spectrum.loss))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(ITERATIONS):
            try:
                new = _iterated(state, spectrum, gamma, eta, n, b)
            except np.linalg.LinAlgError:  # from matrices that are not finite
                break
            if not all(np.isfinite(x).all() for x in (new.loss, new.C3, new.Cw, new.R3)):
                break
            change = float(np.abs(new.loss / state.loss - 1).max())
            state = _mixed(state, new)
            if change < tolerance:
                return new.loss
    raise Unsolvable(
        f"the mean field theory did not converge in {ITERATIONS} iterations at eta = {eta:g}, gamma = {gamma:g}, "
        f"{n_steps} steps: gradient descent is unstable there or nearly so; try eta = {eta / 2:g} or fewer steps"
    )


def _iterated(old: _State, spectrum: Spectrum, gamma: float, eta: float, n: int | None, b: int | None) -> _State:
    """The state after one undamped iteration."""
    T = len(old.loss)
    eye, strict = np.eye(T), np.tril(np.ones((T, T)), -1)
    theta, D3, Dw = eta * strict, eta * old.C3 * strict, eta * old.Cw * strict
    Gw = np.linalg.solve(eye - gamma * theta @ D3, theta)
    K = Gw @ old.R3 + gamma * Dw @ old.R3
    lam, counts, per_n = spectrum.lam, spectrum.counts, 0.0 if n is None else 1 / n
    H = np.linalg.inv(eye + lam[:, None, None] * K)
    S = per_n * (np.einsum("k,kts->ts", counts * lam, H) + spectrum.trace_beyond * eye)
    R3 = np.linalg.inv(eye + gamma * S @ Dw + S @ Gw)
    Q = per_n * (old.Cw + gamma * (Dw @ old.C3w + old.C3w.T @ Dw.T) + gamma**2 * Dw @ old.C3 @ Dw.T)
    # v of a mode: H (w* + projection noise) - K H (batch noise of variance Sigma2)
    source = (spectrum.power / lam)[:, None, None] + counts[:, None, None] * Q
    noiseless = H @ source @ H.mT
    loss, noise = _loss(noiseless, K @ H, spectrum, b)
    C2 = np.einsum("k,kts->ts", lam**2, noiseless) + np.einsum("kts,ks,kus->tu", H, noise, H)
    C3 = R3 @ C2 @ R3.T
    return _State(C3, Gw @ C3 @ Gw.T, C3 @ Gw.T, R3, loss)


def _loss(
    noiseless: Float[np.ndarray, "k T T"], KH: Float[np.ndarray, "k T T"], spectrum: Spectrum, b: int | None
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "k T"]]:
    """Loss and batch noise, which drive each other; noise affects only later times, so one pass over time suffices."""
    lam, counts = spectrum.lam, spectrum.counts
    diagonal = np.einsum("ktt->kt", noiseless)
    if b is None:
        return lam @ diagonal + spectrum.beyond, np.zeros_like(diagonal)
    square, C0, noise = KH**2, diagonal.copy(), np.zeros_like(diagonal)
    loss = np.zeros(diagonal.shape[1])
    for t in range(diagonal.shape[1]):
        C0[:, t] += np.einsum("ks,ks->k", square[:, t, :t], noise[:, :t])
        loss[t] = lam @ C0[:, t] + spectrum.beyond
        noise[:, t] = (counts * lam * loss[t] + lam**2 * C0[:, t]) / b
    return loss, noise


def _mixed(old: _State, new: _State) -> _State:
    pairs = ((getattr(old, name), getattr(new, name)) for name in ("C3", "Cw", "C3w", "R3", "loss"))
    return _State(*((1 - DAMPING) * a + DAMPING * b for a, b in pairs))
