"""The neural tangent kernel of wide ReLU networks on the circle, and the exponents of its Sobolev task.

Sources: the arc-cosine recursion of Cho and Saul 2009 in the form of Jacot et al. 2018 (1806.07572), without biases;
exponents after Bordelon et al. 2024 (2409.17858).
"""

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange

POINTS = 2**16
"""Number of points on the circle at which the kernel is sampled for its Fourier transform."""


def relu_ntk(theta: Float[np.ndarray, " angles"], n_hidden: int) -> Float[np.ndarray, " angles"]:
    """Kernel of two inputs at these angles (-pi..pi) to each other, for weights of variance 2 over fan-in.

    Raises:
        OutOfRange: ``n_hidden``, the number of hidden layers, is below 1.
    """
    if n_hidden < 1:
        raise OutOfRange(f"{n_hidden} hidden layers are not allowed: give at least 1")
    angle = np.abs(theta)
    tangent = np.cos(angle)
    for _ in range(n_hidden):
        slope = (np.pi - angle) / np.pi
        covariance = np.sin(angle) / np.pi + np.cos(angle) * slope
        tangent = covariance + tangent * slope
        angle = np.arccos(np.clip(covariance, -1.0, 1.0))
    return tangent


def circle_eigenvalues(n_hidden: int, k_max: int) -> Float[np.ndarray, " k"]:
    """Eigenvalues of the kernel at cos k theta, k = 0..k_max, over the uniform distribution on the circle."""
    theta = 2 * np.pi * np.fft.fftfreq(POINTS)
    return np.fft.rfft(relu_ntk(theta, n_hidden)).real[: k_max + 1] / POINTS


def sobolev_exponents(q: float, q_phi: float = 1.0) -> tuple[float, float]:
    """Exponents alpha and beta of y = sum k^-q cos k theta with activation ReLU^q_phi; hard iff q < q_phi + 1/2.

    Raises:
        OutOfRange: q <= 1/2, where y has no variance, or 2 q_phi <= 1, where the kernel has no trace.
    """
    if not q > 0.5:
        raise OutOfRange(f"q = {q:g} is not allowed: give q > 0.5, so that the target's variance is finite")
    if not q_phi > 0.5:
        raise OutOfRange(f"q_phi = {q_phi:g} is not allowed: give q_phi > 0.5, so that the kernel's trace is finite")
    return 2 * q_phi, (2 * q - 1) / (2 * q_phi)
