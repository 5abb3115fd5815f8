"""Gradient descent on the solvable model, all seeds side by side.

The model of Bordelon et al. 2024 (2409.17858): f(x) = w^T A psi(x) / N, w(0) = 0, v = w* - A^T w / N,
    w <- w + eta A G v,   A <- A + eta gamma w (G v)^T A0^T A0 / N,
where G is Lambda, or Psi^T Psi / B of fresh or of reused samples. With A = B A0, h = B^T w and g = A0 G v:
    w <- w + eta B g,     B <- B + eta gamma w g^T / N,
which is equal up to rounding. The loss is the population's, sum lambda_k v_k^2 (no 1/2).
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from train.engine.memory import check_fits
from train.errors import DataError

from .config import ScalingConfig
from .problem import Problem, make_problem
from .store import Simulated

PER_DECADE = 40
"""Evaluations per decade of steps."""
SAFE = 0.9
"""Share of the largest stable step size that an error message recommends."""


def simulate(config: ScalingConfig) -> Simulated:
    """Train, and evaluate at log-spaced steps.

    Raises:
        DataError: the step size is unstable, eta q(t) sigma_max >= 2 at some step, or a loss is not finite.
        UsageError: the simulation does not fit in memory.
    """
    copies = 3 if config.dynamics == "matrix" else 1
    check_fits(8 * config.seeds * (copies * config.n * config.m + 3 * config.n**2), "this simulation", "n, m or seeds")
    problem = make_problem(config)
    steps, loss, q = evaluated(config.steps), [], []
    dynamics = (_matrix if config.dynamics == "matrix" else _reduced)(config, problem, set(steps))
    for step, h in zip(steps, dynamics, strict=False):  # not strict: the dynamics would go on for ever
        loss.append(problem.loss(h))
        q.append(_scale(config, (h**2).sum(dim=1) / config.n))
        if not torch.isfinite(loss[-1]).all():
            raise _unstable(config, problem, step, q[-1])
    return Simulated(
        np.array(steps),
        config.eta * np.array(steps, dtype=np.float64),
        torch.stack(loss, dim=1).numpy(),
        torch.stack(q, dim=1).numpy(),
    )


def evaluated(n_steps: int) -> list[int]:
    """Steps that are evaluated: log-spaced, from 0 to ``n_steps``."""
    count = int(np.log10(max(n_steps, 1)) * PER_DECADE) + 2
    return sorted({0, *np.geomspace(1, n_steps, count).round().astype(int).tolist()})


def _reduced(config: ScalingConfig, problem: Problem, due: set[int]) -> Iterator[Float[Tensor, "seeds n"]]:
    """Yields h = B^T w at the steps ``due``, by the reduced dynamics."""
    seeds, n = config.seeds, config.n
    w = torch.zeros(seeds, n, dtype=torch.float64)
    B = torch.eye(n, dtype=torch.float64).repeat(seeds, 1, 1) if config.gamma > 0 else None
    for step in itertools.count():
        h = w if B is None else torch.einsum("sji,sj->si", B, w)
        _check(config, problem, step, w)
        if step in due:
            yield h
        g = problem.gradient(h)
        moved = g if B is None else torch.einsum("sij,sj->si", B, g)
        if B is not None:
            B.baddbmm_(w[:, :, None], g[:, None, :], alpha=config.eta * config.gamma / n)
        w = w + config.eta * moved


def _matrix(config: ScalingConfig, problem: Problem, due: set[int]) -> Iterator[Float[Tensor, "seeds n"]]:
    """Yields h at the steps ``due`` from A(t) itself: h solves A0^T h = A^T w, which lies in the row space of A0."""
    n, A0 = config.n, problem.features()
    w, A = torch.zeros(config.seeds, n, dtype=torch.float64), A0.clone()
    for step in itertools.count():
        f = torch.einsum("snm,sn->sm", A, w) / n
        _check(config, problem, step, w)
        if step in due:
            yield torch.linalg.lstsq(A0.mT, n * f[:, :, None]).solution[:, :, 0]
        Gv = problem.mode_gradient(f)
        moved = torch.einsum("snm,sm->sn", A, Gv)
        inside = torch.einsum("snm,sm->sn", A0, Gv)
        A.baddbmm_(w[:, :, None], torch.einsum("snm,sn->sm", A0, inside)[:, None], alpha=config.eta * config.gamma / n)
        w = w + config.eta * moved


def _scale(config: ScalingConfig, square: Float[Tensor, " seeds"]) -> Float[Tensor, " seeds"]:
    """Scale q of the kernel as a function of ``square``, which is |h|^2 / N."""
    return (1 + (1 + 4 * config.gamma * square).sqrt()) / 2


def _check(config: ScalingConfig, problem: Problem, step: int, w: Float[Tensor, "seeds n"]) -> None:
    """Refuse eta q sigma_max >= 2, where gradient descent is unstable; q is 1 + gamma |w|^2 / N for small eta."""
    q = 1 + config.gamma * (w**2).sum(dim=1) / config.n
    if not (config.eta * q * problem.stiffness < 2).all():
        raise _unstable(config, problem, step, q)


def _unstable(config: ScalingConfig, problem: Problem, step: int, q: Float[Tensor, " seeds"]) -> DataError:
    """The error, with a step size that is stable up to the end of training, where q is largest, and <= eta / 2."""
    limit = _scale(config, problem.farthest)
    safe = min(SAFE * 2 / float((limit * problem.stiffness).max()), config.eta / 2)
    most = config.eta * float((q * problem.stiffness).max())
    noise = "" if config.b is None else ", of which the noise of batches is a part"
    return DataError(
        f"unstable at step {step}: q = {float(q.max()):.3g}, eta q sigma_max = {most:.3g}{noise}, which must stay "
        f"below 2: give --eta {safe:.2g} or less"
    )
