"""Gradient descent on the solvable model, all seeds side by side.

Specification (after Bordelon et al. 2024, 2409.17858): f(x) = w^T A psi(x) / N, w(0) = 0, v = w* - A^T w / N,
    w <- w + eta A G v,   A <- A + eta gamma w (G v)^T A0^T A0 / N,
G being Lambda, or Psi^T Psi / B of fresh samples, or of the same P samples. With A = B A0, h = B^T w and g = A0 G v:
    w <- w + eta B g,     B <- B + eta gamma w g^T / N,
which is the same to rounding. The loss is the population's, sum lambda_k v_k^2 (no 1/2).
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import DataError
from .config import ScalingConfig
from .problem import Problem, make_problem
from .store import Simulated

PER_DECADE = 40
"""Evaluations, log-spaced."""


def simulate(config: ScalingConfig) -> Simulated:
    """Train, and evaluate at log-spaced steps.

    Raises:
        DataError: a step size that is unstable, eta q(t) sigma_max >= 2, or a loss that is not finite.
    """
    problem = make_problem(config)
    steps, loss, q = evaluated(config.steps), [], []
    dynamics = (_matrix if config.dynamics == "matrix" else _reduced)(config, problem, set(steps))
    for step, h in zip(steps, dynamics, strict=False):  # the last one is not trained on
        loss.append(problem.loss(h))
        q.append((1 + (1 + 4 * config.gamma * (h**2).sum(dim=1) / h.shape[1]).sqrt()) / 2)
        _check(config, problem, step, loss[-1], q[-1])
    return Simulated(
        np.array(steps),
        config.eta * np.array(steps, dtype=np.float64),
        torch.stack(loss, dim=1).numpy(),
        torch.stack(q, dim=1).numpy(),
    )


def evaluated(n_steps: int) -> list[int]:
    """Log-spaced steps from 0 to ``n_steps``."""
    count = int(np.log10(max(n_steps, 1)) * PER_DECADE) + 2
    return sorted({0, *np.geomspace(1, n_steps, count).round().astype(int).tolist()})


def _reduced(config: ScalingConfig, problem: Problem, due: set[int]) -> Iterator[Float[Tensor, "seeds n"]]:
    """h = B^T w at the steps that are due."""
    seeds, n = config.seeds, config.n
    w = torch.zeros(seeds, n, dtype=torch.float64)
    B = torch.eye(n, dtype=torch.float64).repeat(seeds, 1, 1) if config.gamma > 0 else None
    for step in itertools.count():
        h = w if B is None else torch.einsum("sji,sj->si", B, w)
        if step in due:
            yield h
        g = problem.gradient(h)
        moved = g if B is None else torch.einsum("sij,sj->si", B, g)
        if B is not None:
            B.baddbmm_(w[:, :, None], g[:, None, :], alpha=config.eta * config.gamma / n)
        w = w + config.eta * moved


def _matrix(config: ScalingConfig, problem: Problem, due: set[int]) -> Iterator[Float[Tensor, "seeds n"]]:
    """The same from A(t) itself; h solves A0^T h = A^T w, which lies in the row space of A0."""
    n, A0 = config.n, problem.features()
    w, A = torch.zeros(config.seeds, n, dtype=torch.float64), A0.clone()
    for step in itertools.count():
        f = torch.einsum("snm,sn->sm", A, w) / n
        if step in due:
            yield torch.linalg.lstsq(A0.mT, n * f[:, :, None]).solution[:, :, 0]
        Gv = problem.mode_gradient(f)
        moved = torch.einsum("snm,sm->sn", A, Gv)
        inside = torch.einsum("snm,sm->sn", A0, Gv)
        A.baddbmm_(w[:, :, None], torch.einsum("snm,sn->sm", A0, inside)[:, None], alpha=config.eta * config.gamma / n)
        w = w + config.eta * moved


def _check(config: ScalingConfig, problem: Problem, step: int, loss: Tensor, q: Tensor) -> None:
    """Gradient descent is stable where eta q sigma_max < 2."""
    most = float((q * problem.sigma_max).max())
    if not (torch.isfinite(loss).all() and torch.isfinite(q).all()):
        raise DataError(f"the loss is not finite at step {step}: give a smaller --eta than {config.eta:g}")
    if config.eta * most >= 2:
        raise DataError(
            f"unstable at step {step}: q = {float(q.max()):.3g}, eta q sigma_max = {config.eta * most:.3g}, "
            f"which must stay below 2: give --eta {1 / most:.2g} or less, or fewer --steps"
        )
