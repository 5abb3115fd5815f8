"""The task and the frozen part of the model (A(0), kernels and samples) for every seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.special import zeta
from torch import Tensor

from train.streams import stream

from .config import ScalingConfig


@dataclass(frozen=True)
class Problem:
    """The task and the frozen part of the model as the dynamics use them; float64, with seeds as the first axis."""

    loss: Callable[[Float[Tensor, "seeds n"]], Float[Tensor, " seeds"]]
    """Population loss of f = h^T A(0) psi / N."""
    gradient: Callable[[Float[Tensor, "seeds n"]], Float[Tensor, "seeds n"]]
    """A(0) G v; with fresh batches each call draws one."""
    mode_gradient: Callable[[Float[Tensor, "seeds m"]], Float[Tensor, "seeds m"]]
    """G v as a function of A^T w / N; with fresh batches each call draws one."""
    features: Callable[[], Float[Tensor, "seeds n m"]]
    """The features A(0)."""
    stiffness: Float[Tensor, " seeds"]
    """Largest eigenvalue of the training kernel A(0) G A(0)^T / N; with fresh batches that of the population's kernel
    plus its trace over B, the contribution of batch noise."""
    farthest: Float[Tensor, " seeds"]
    """|h|^2 / N of the best fit, at which training ends."""


def make_problem(config: ScalingConfig) -> Problem:
    """Draw A(0) and the samples."""
    k = torch.arange(1, config.m + 1, dtype=torch.float64)
    lam = k**-config.alpha
    w_star = k ** (-0.5 - config.alpha * (config.beta - 1) / 2)
    if config.form == "plain":
        return _plain(config, lam, w_star)
    return _projected(config, lam, w_star)


def _sampler(config: ScalingConfig, lam: Tensor) -> Callable[[], Float[Tensor, "seeds rows m"]] | None:
    """A function that returns samples psi = sqrt(lambda) z, new or reused ones; None for the population."""
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
    """The plain form, A(0) = sqrt(N) I: h / sqrt(N) is the learned function by mode; modes beyond M stay unlearned."""
    beyond = _tails(config)[2] if config.tail else 0.0
    root = float(config.n) ** 0.5
    sample = _sampler(config, lam)
    mode_gradient = _mode_gradient(lam, w_star, sample)
    eye = torch.eye(config.n, dtype=torch.float64)
    return Problem(
        loss=lambda h: (lam * (w_star - h / root) ** 2).sum(dim=1) + beyond,
        gradient=lambda h: root * mode_gradient(h / root),
        mode_gradient=mode_gradient,
        features=lambda: (root * eye).repeat(config.seeds, 1, 1),
        stiffness=_stiffness(
            config, torch.diag(lam), sample() if config.p is not None and sample is not None else None
        ),
        farthest=(w_star**2).sum().repeat(config.seeds),
    )


def _projected(config: ScalingConfig, lam: Tensor, w_star: Tensor) -> Problem:
    """The projected form: A(0) has independent standard normal entries."""
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

    reused, kernel, drive = None, K, b
    if config.p is not None and sample is not None:
        Psi = sample()
        Phi = Psi @ A0.mT / n**0.5
        kernel, drive = Phi.mT @ Phi / config.p, (Phi.mT @ (Psi @ w_star)[:, :, None])[:, :, 0] * n**0.5 / config.p
        reused = Phi
    best = torch.linalg.lstsq(kernel, drive[:, :, None], driver="gelsd").solution[:, :, 0]
    return Problem(loss, gradient, mode_gradient, lambda: A0, _stiffness(config, K, reused), (best**2).sum(dim=1) / n)


def _stiffness(
    config: ScalingConfig, K: Float[Tensor, "*seeds n n"], reused: Float[Tensor, "seeds p n"] | None
) -> Float[Tensor, " seeds"]:
    """Largest eigenvalue of the kernel of ``reused`` rows, or else of K, plus the noise of fresh batches."""
    if reused is not None:
        return torch.linalg.matrix_norm(reused, ord=2) ** 2 / len(reused[0])
    largest = torch.linalg.eigvalsh(K)[..., -1]
    noise = 0.0 if config.b is None else K.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / config.b
    return (largest + noise).expand(config.seeds)


def _tails(config: ScalingConfig) -> tuple[float, float, float]:
    """Over modes beyond M: the sums of lambda, of lambda^2 w*^2 and of lambda w*^2."""
    power = 1 + config.alpha * config.beta
    first = config.m + 1
    return float(zeta(config.alpha, first)), float(zeta(config.alpha + power, first)), float(zeta(power, first))
