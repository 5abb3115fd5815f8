"""Stochastic gradient descent of the lazy model at infinite width, averaged exactly over batches.

Specification: with Gaussian features the mean square error of mode k obeys
    V_k <- (1 - eta lambda_k)^2 V_k + (eta^2/B) (lambda_k L + lambda_k^2 V_k),  L = sum lambda_k V_k.
"""

import numpy as np
from jaxtyping import Float

from train.errors import DataError

from .spectrum import Spectrum


def lazy_sgd(spectrum: Spectrum, eta: float, b: int | None, n_steps: int) -> Float[np.ndarray, " steps"]:
    """Mean loss at steps 0..n_steps; the population's gradient where b is None.

    Raises:
        DataError: it grows past 1e6 times its start, where the step size is unstable.
    """
    lam, V = spectrum.lam, spectrum.w_star**2
    noise = 0.0 if b is None else eta**2 / b
    found = np.empty(n_steps + 1)
    for step in range(n_steps + 1):
        found[step] = loss = lam @ V + spectrum.beyond
        if not loss < 1e6 * found[0]:
            bound = 2 / (lam.max() + (0.0 if b is None else spectrum.trace / b))
            raise DataError(f"unstable at step {step}: give eta below about {bound:.2g}, not {eta:g}")
        V = (1 - eta * lam) ** 2 * V + noise * (spectrum.counts * lam * loss + lam**2 * V)
    return found
