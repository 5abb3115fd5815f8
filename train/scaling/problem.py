"""The task and the frozen part of the model: A(0), kernels, samples, for every seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.special import zeta
from torch import Tensor

from ..streams import stream
from .config import ScalingConfig


@dataclass(frozen=True)
class Problem:
    """What dynamics need; everything float64, seeds first."""

    loss: Callable[[Float[Tensor, "seeds n"]], Float[Tensor, " seeds"]]
    """Population loss of f = h^T A(0) psi / N."""
    gradient: Callable[[Float[Tensor, "seeds n"]], Float[Tensor, "seeds n"]]
    """A(0) G v, of a fresh batch at each call where batches are fresh."""
    mode_gradient: Callable[[Float[Tensor, "seeds m"]], Float[Tensor, "seeds m"]]
    """G v from what A^T w / N is, likewise."""
    features: Callable[[], Float[Tensor, "seeds n m"]]
    """A(0)."""
    sigma_max: Float[Tensor, " seeds"]
    """Largest eigenvalue of the population kernel A(0) Lambda A(0)^T / N."""


def make_problem(config: ScalingConfig) -> Problem:
    """Draw A(0) and the samples."""
    k = torch.arange(1, config.m + 1, dtype=torch.float64)
    lam = k**-config.alpha
    w_star = k ** (-0.5 - config.alpha * (config.beta - 1) / 2)
    if config.form == "plain":
        return _plain(config, lam, w_star)
    return _projected(config, lam, w_star)


def _sampler(config: ScalingConfig, lam: Tensor) -> Callable[[], Float[Tensor, "seeds rows m"]] | None:
    """Samples psi = sqrt(lambda) z: new ones at every call, or always the same; None for the population."""
    rows = config.b if config.p is None else config.p
    if rows is None:
        return None
    streams = [stream(config.seed + i, "data") for i in range(config.seeds)]

    def draw() -> Tensor:
        z = [torch.randn(rows, config.m, dtype=torch.float64, generator=generator) for generator in streams]
        return torch.stack(z) * lam.sqrt()

    if config.p is None:
        return draw
    kept = draw()
    return lambda: kept


def _mode_gradient(lam: Tensor, w_star: Tensor, sample: Callable[[], Tensor] | None) -> Callable[[Tensor], Tensor]:
    def gradient(f: Tensor) -> Tensor:
        v = w_star - f
        if sample is None:
            return lam * v
        Psi = sample()
        return torch.einsum("sbm,sb->sm", Psi, torch.einsum("sbm,sm->sb", Psi, v)) / Psi.shape[1]

    return gradient


def _plain(config: ScalingConfig, lam: Tensor, w_star: Tensor) -> Problem:
    """A(0) = sqrt(N) I: h / sqrt(N) is the learned function, mode by mode; modes beyond M stay unlearned."""
    beyond = _tails(config)[2] if config.tail else 0.0
    root = float(config.n) ** 0.5
    mode_gradient = _mode_gradient(lam, w_star, _sampler(config, lam))
    eye = torch.eye(config.n, dtype=torch.float64)
    return Problem(
        loss=lambda h: (lam * (w_star - h / root) ** 2).sum(dim=1) + beyond,
        gradient=lambda h: root * mode_gradient(h / root),
        mode_gradient=mode_gradient,
        features=lambda: (root * eye).repeat(config.seeds, 1, 1),
        sigma_max=lam.max().repeat(config.seeds),
    )


def _projected(config: ScalingConfig, lam: Tensor, w_star: Tensor) -> Problem:
    """A(0) with independent standard normal entries."""
    n, m = config.n, config.m
    generators = [stream(config.seed + i, "features") for i in range(config.seeds)]
    A0 = torch.stack([torch.randn(n, m, dtype=torch.float64, generator=g) for g in generators])
    K, b = (A0 * lam) @ A0.mT / n, A0 @ (lam * w_star)
    start = float((lam * w_star**2).sum())
    if config.tail:
        trace, noise, power = _tails(config)
        K = K + trace / n * torch.eye(n, dtype=torch.float64)
        b = b + noise**0.5 * torch.stack([torch.randn(n, dtype=torch.float64, generator=g) for g in generators])
        start += power
    sample = _sampler(config, lam)
    mode_gradient = _mode_gradient(lam, w_star, sample)

    def gradient(h: Tensor) -> Tensor:
        if sample is None:
            return b - torch.einsum("sij,sj->si", K, h)
        return torch.einsum("snm,sm->sn", A0, mode_gradient(torch.einsum("snm,sn->sm", A0, h) / n))

    def loss(h: Tensor) -> Tensor:
        Kh = torch.einsum("sij,sj->si", K, h)
        return start + ((h * Kh).sum(dim=1) - 2 * (h * b).sum(dim=1)) / n

    return Problem(loss, gradient, mode_gradient, lambda: A0, torch.linalg.eigvalsh(K)[:, -1])


def _tails(config: ScalingConfig) -> tuple[float, float, float]:
    """Over modes beyond M: the sums of lambda, of lambda^2 w*^2 and of lambda w*^2."""
    power = 1 + config.alpha * config.beta
    first = config.m + 1
    return float(zeta(config.alpha, first)), float(zeta(config.alpha + power, first)), float(zeta(power, first))
