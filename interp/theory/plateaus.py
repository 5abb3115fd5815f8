"""Loss that remains after infinite time, at finite width or with finite data: ``python -m interp.scaling plateaus``.

With r from sum lambda r/(1 + lambda r) = N, a random projection leaves sum lambda w*^2 / (1 + lambda r); ridgeless
regression on P samples leaves the square of this factor, times a factor for the variance. Both are tested against least
squares on drawn features and samples: see docs/background/scaling_laws.md.
"""

import math

import numpy as np
from scipy.optimize import brentq

from .checks import check_size
from .spectrum import Spectrum


def model_plateau(spectrum: Spectrum, n: int) -> float:
    """Loss of the best fit in the row space of a random A(0) of width n, which lazy and rich training share.

    Raises:
        OutOfRange: n < 1.
    """
    gain = _gain(spectrum, n)
    return float((spectrum.power / (1 + spectrum.lam * gain)).sum()) + spectrum.beyond


def data_plateau(spectrum: Spectrum, p: int) -> float:
    """Test loss of ridgeless kernel regression on p samples, where lazy training at infinite width ends.

    Raises:
        OutOfRange: p < 1.
    """
    gain = _gain(spectrum, p)
    if math.isinf(gain):
        return spectrum.beyond
    share = spectrum.lam * gain / (1 + spectrum.lam * gain)
    variance = float((spectrum.counts * share**2).sum()) / p
    return float(((spectrum.power / (1 + spectrum.lam * gain) ** 2).sum() + spectrum.beyond) / (1 - variance))


def _gain(spectrum: Spectrum, size: int) -> float:
    """The r at which the sum of lambda r / (1 + lambda r) is ``size``; infinite for at most ``size`` modes."""
    check_size("size", size)
    if spectrum.trace_beyond == 0 and size >= spectrum.counts.sum():
        return math.inf

    def excess(log_r: float) -> float:
        x = spectrum.lam * np.exp(log_r)
        return float((spectrum.counts * x / (1 + x)).sum()) + spectrum.trace_beyond * math.exp(log_r) - size

    return float(np.exp(brentq(excess, -50, 700, xtol=1e-12)))  # type: ignore[arg-type]
