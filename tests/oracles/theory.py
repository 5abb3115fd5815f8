"""Modes of the scaling theory for an A(0) that a test has drawn; the package draws its own."""

import numpy as np

from interp.theory.finite import Kernel
from interp.theory.flow import Modes


def modes_at(A: np.ndarray, alpha: float, beta: float) -> Modes:
    """Population modes of one A(0) [n, m] on the power-law task (alpha, beta) of m modes."""
    lam = np.arange(1, A.shape[1] + 1.0) ** -alpha
    sigma, V = np.linalg.eigh((A * lam) @ A.T / len(A))
    return Kernel(alpha, sigma[::-1], V[:, ::-1], A, None).modes(beta)
