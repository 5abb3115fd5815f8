"""Stochastic gradient descent of the lazy model, averaged exactly over batches: any width, any number of steps.

With Gaussian features the mean square error of mode k obeys
    V_k <- (1 - eta lambda_k)^2 V_k + (eta^2/B) (lambda_k L + lambda_k^2 V_k),  L = L_res + sum lambda_k V_k,
where lambda_k are kernel eigenvalues: the population's at infinite width, those of one A(0) at a finite width, whose
residual is independent of its features. The map is linear with a matrix that is symmetric up to scaling, so an
eigendecomposition solves it for all steps at once.
"""

import numpy as np
from jaxtyping import Float, Real

from .checks import Unsolvable, check_size, check_step_size
from .flow import Modes
from .spectrum import Spectrum


def lazy_sgd(
    of: Spectrum | Modes, eta: float, b: int | None, steps: Real[np.ndarray, " some"]
) -> Float[np.ndarray, " some"]:
    """Mean loss after ``steps`` updates, interpolated between whole numbers; b None means the population's gradient.

    Raises:
        OutOfRange: eta <= 0, or b < 1.
        Unsolvable: the step size is unstable.
    """
    check_step_size(eta)
    if b is not None:
        check_size("b", b)
    lam, counts, V, unlearned = _start(of)
    per_b = 0.0 if b is None else 1 / b
    # 1 - the map, made symmetric by the square roots of the counts
    shrink = eta * lam * (2 - eta * lam) - per_b * (eta * lam) ** 2
    root = np.sqrt(counts)
    rates, axes = np.linalg.eigh(np.diag(shrink) - per_b * eta**2 * np.outer(root * lam, root * lam))
    if rates[0] < -1e-12 or eta * lam.max() >= 2:
        safe = min(eta, 2 / (lam.max() + per_b * float((counts * lam).sum()))) / 2
        raise Unsolvable(f"the step size eta = {eta:g} is unstable with batches of {b or 'everything'}: try {safe:.2g}")
    rates = np.clip(rates, 1e-300, 1)
    decay = np.exp(np.outer(np.log1p(-np.minimum(rates, 1 - 1e-16)), steps))
    source = axes.T @ (root * lam) * per_b * eta**2 * unlearned
    modes = (axes.T @ (V / root))[:, None] * decay + (source / rates)[:, None] * (1 - decay)
    return (root * lam) @ axes @ modes + unlearned


def _start(of: Spectrum | Modes) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Eigenvalues, their multiplicities, initial squared errors, and the loss of modes that are never learned."""
    if isinstance(of, Spectrum):
        return of.lam, of.counts, of.w_star**2, of.beyond
    live = of.sigma > 0
    return of.sigma[live], np.ones(live.sum()), (of.drive[live] / of.sigma[live]) ** 2, of.residual
