"""Exponents and regimes of power-law tasks (alpha, beta).

Sources: Bordelon et al. 2024 (2409.17858), equation 10 (time) and table 1 (compute); 2402.01092 for the lazy limits of
data and width. Deviation: the exponent of the width is alpha min(1, beta), where summaries of these papers have
alpha min(2, beta) or alpha beta (see docs/background/scaling_laws.md).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.integrate import quad
from scipy.special import gamma as gamma_function
from scipy.special import hyp1f1

from .checks import OutOfRange, check_gamma, check_task

ENDS = 60.0
"""Integrals over log x are cut at plus and minus this value; the power-law ends are added in closed form."""

Regime = Literal["hard", "easy", "super-easy"]


@dataclass(frozen=True)
class Exponents:
    """Exponents, all positive: loss falls as t^-time, N^-model, P^-data and C^-compute; N* grows as C^n_opt.

    The best time t* grows as C^t_opt.
    """

    regime: Regime
    time: float
    """Exponent of gradient flow."""
    model: float
    """Exponent of the plateau at finite width."""
    data: float | None
    """Exponent of the plateau with P reused samples; None for gamma > 0, for which the papers give none."""
    compute: float
    """Exponent of the best loss at compute C = N t."""
    n_opt: float
    t_opt: float

    def to_json(self) -> dict[str, Any]:
        """The exponents as plain values, for JSON."""
        return asdict(self)


def regime(alpha: float, beta: float) -> Regime:
    """Regime of a task: hard for beta < 1, super-easy for beta > 2 - 1/alpha, easy between (both ends included).

    Raises:
        OutOfRange: alpha <= 1 or beta <= 0.
    """
    check_task(alpha, beta)
    if beta < 1:
        return "hard"
    return "super-easy" if beta > 2 - 1 / alpha else "easy"


def chi(beta: float) -> float:
    """Rich time exponent, beta max(1, 2/(1 + beta)): equation 10 of 2409.17858."""
    return beta * max(1.0, 2 / (1 + beta))


def exponents(alpha: float, beta: float, gamma: float, infinite_batch: bool = False) -> Exponents:
    """All exponents of a task; the compute-optimal ones are for batches of fixed size unless ``infinite_batch``.

    Without the noise of batches the easy regime's exponents hold for all beta >= 1.

    Raises:
        OutOfRange: alpha <= 1, beta <= 0 or gamma < 0.
    """
    kind = regime(alpha, beta)
    check_gamma(gamma)
    time = chi(beta) if gamma > 0 else beta
    if kind == "hard":
        compute, n_opt = alpha * beta * time / (alpha * beta + time), time / (alpha * beta + time)
    elif kind == "easy" or infinite_batch:
        compute = alpha * beta / (alpha * beta + 1)
        n_opt = (alpha * (beta - 1) + 1) / (alpha * beta + 1)
    else:
        compute, n_opt = 1 - 1 / (2 * alpha), 0.5
    data = alpha * min(2.0, beta) if gamma == 0 else None
    return Exponents(kind, time, alpha * min(1.0, beta), data, compute, n_opt, 1 - n_opt)


def lazy_loss(alpha: float, beta: float, t: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
    """Late loss of the lazy flow at infinite width, Gamma(beta)/alpha (2t)^-beta.

    Raises:
        OutOfRange: alpha <= 1 or beta <= 0.
    """
    check_task(alpha, beta)
    return gamma_function(beta) / alpha * (2 * t) ** -beta


def rich_loss(alpha: float, beta: float, gamma: float, t: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
    """Late loss of the rich flow on hard tasks, (F/alpha) tau^-beta.

    tau^((1+beta)/2) = (1+beta)/2 sqrt(gamma D/alpha) t, with F and D of ``rich_constants``.

    Raises:
        OutOfRange: alpha <= 1, or beta or gamma where the formula does not hold: beta <= 0 or >= 1, gamma <= 0.
    """
    check_task(alpha, beta)
    check_gamma(gamma)
    if beta >= 1 or gamma == 0:
        raise OutOfRange(f"beta = {beta:g}, gamma = {gamma:g}: the formula needs beta < 1 and gamma > 0")
    F, D = rich_constants(beta)
    tau = ((1 + beta) / 2 * np.sqrt(gamma * D / alpha) * t) ** (2 / (1 + beta))
    return F / alpha * tau**-beta


def rich_constants(beta: float) -> tuple[float, float]:
    """Constants F and D: integrals of x^(beta-1) (1-phi)^2 and of x^(beta-2) phi^2 over x > 0.

    phi = x/(1-kappa) 1F1(1; 2-kappa; -x) is the learned share of a mode at x = lambda tau, with kappa = (1-beta)/4.
    """
    kappa = (1 - beta) / 4

    def phi(x: float) -> float:
        if x > 500:  # 1F1's asymptotic series
            return 1 + kappa / x + kappa * (kappa + 1) / x**2
        return float(x / (1 - kappa) * hyp1f1(1, 2 - kappa, -x))

    def integral(f: Any) -> float:  # in log x, where both ends decay
        return quad(lambda s: f(np.exp(s)) * np.exp(s), -ENDS, ENDS, limit=400, points=[0.0, 5.0])[0]

    F = integral(lambda x: x ** (beta - 1) * (1 - phi(x)) ** 2) + math.exp(-beta * ENDS) / beta  # phi is 0 below
    D = integral(lambda x: x ** (beta - 2) * phi(x) ** 2) + math.exp(-(1 - beta) * ENDS) / (1 - beta)  # and 1 above
    return F, D
