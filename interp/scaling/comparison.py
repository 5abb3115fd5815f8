"""The theory beside a simulation on disk: for each kind of training the one that holds for it.

``python -m interp.scaling compare RUN``; in a REPL, ``from interp.scaling.compare import compare``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp.theory.corrections import corrected_dmft
from interp.theory.finite import nested, reused
from interp.theory.flow import Modes, flow, wide
from interp.theory.sgd import lazy_sgd
from interp.theory.spectrum import Spectrum, power_law, tail
from train.engine.memory import check_fits
from train.errors import DataError, UsageError
from train.scaling.config import ScalingConfig
from train.scaling.store import read_simulation

DRAWS = 16
"""Of A(0) and samples that the theory is averaged over, from another seed than the simulation's."""
LONGEST = 100
"""Steps that the mean field theory is solved for: time and memory grow as their square and cube."""

Losses = Float[np.ndarray, " times"]


@dataclass(frozen=True)
class Comparison:
    """A simulation, and what theory says of its mean loss."""

    config: ScalingConfig
    theory: str
    """Which theory, in words."""
    curves: pd.DataFrame
    """Columns step, t, loss (mean over seeds), theory (mean over draws; NaN past what it reaches), their standard
    errors loss_error (NaN of one seed) and theory_error, residual (loss/theory - 1), residual_error (of both), and q
    (mean over seeds)."""


def compare(path: str | Path) -> Comparison:
    """Read a simulation that ``python -m train.scaling`` wrote, and compute its theory.

    Raises:
        DataError: it cannot be read. Where its theory cannot be solved, ``theory`` says so and is NaN.
    """
    config, found = read_simulation(Path(path))
    try:
        said, theory, theory_error = predicted(config, found.step)
    except DataError as error:
        said, theory, theory_error = f"none: {error}", *np.full((2, len(found.step)), np.nan)
    mean, error = _mean(found.loss)
    if config.seeds == 1:
        error = np.full(len(mean), np.nan)
    columns = {"step": found.step, "t": found.t, "loss": mean, "theory": theory, "loss_error": error}
    columns |= {"theory_error": theory_error, "residual": mean / theory - 1}
    columns |= {"residual_error": np.hypot(error, theory_error) / theory, "q": found.q.mean(axis=0)}
    return Comparison(config, said, pd.DataFrame(columns))


def predicted(config: ScalingConfig, step: Int[np.ndarray, " times"]) -> tuple[str, Losses, Losses]:
    """Name of the theory, mean loss at the steps, and the mean's standard error where it is over draws.

    Raises:
        DataError: it cannot be solved, or not in memory.
    """
    is_drawn = config.form != "plain" or config.p is not None
    numbers = 30 * config.m + 4 * is_drawn * (config.n + (config.p or 0)) * (config.n + config.m)
    try:
        check_fits(8 * numbers, "the theory of this simulation", "n, m or p")
    except UsageError as error:
        raise DataError(str(error)) from error
    if config.b is not None and config.gamma > 0:
        return _mean_field(config, step)
    modes = [wide(_task(config))] if config.form == "plain" and config.p is None else list(_drawn(config))
    drawn = "" if len(modes) == 1 else f", mean over {len(modes)} draws"
    if config.gamma == 0 and config.p is None:
        said, curves = "lazy recursion, exact", [lazy_sgd(m, config.eta, config.b, step) for m in modes]
    else:
        t, said = config.eta * step, "closed gradient flow"
        curves = [flow(m, config.gamma, config.t_max).at(t) for m in modes]
    return said + drawn, *_mean(np.array(curves))


def _mean(curves: Float[np.ndarray, "several times"]) -> tuple[Losses, Losses]:
    """Mean, and its standard error: 0 of one."""
    several = len(curves)
    return curves.mean(axis=0), curves.std(axis=0, ddof=min(1, several - 1)) / np.sqrt(several)


def _task(config: ScalingConfig) -> Spectrum:
    """Mode by mode, as it is simulated."""
    k = np.arange(1, config.m + 1.0)
    power = 1 + config.alpha * config.beta
    beyond = tail(power, config.m) if config.tail else 0.0
    return Spectrum(k**-config.alpha, k**-power, np.ones(config.m), beyond)


def _drawn(config: ScalingConfig) -> Iterable[Modes]:
    """Modes of the model for draws of A(0), and of the samples that are used again."""
    rng, task = np.random.default_rng([config.seed, 1]), _task(config)
    for _ in range(DRAWS):
        if config.p is None:
            yield nested(config.alpha, config.beta, [config.n], rng, None if config.tail else config.m)[0]
            continue
        A = None if config.form == "plain" else rng.standard_normal((config.n, config.m))
        Psi = rng.standard_normal((config.p, config.m)) * np.sqrt(task.lam)
        yield reused(task.lam, task.w_star, Psi, A)


def _mean_field(config: ScalingConfig, step: Int[np.ndarray, " times"]) -> tuple[str, Losses, Losses]:
    n = None if config.form == "plain" else config.n
    steps = min(config.steps, LONGEST)
    task = power_law(config.alpha, config.beta, config.m)
    curve = corrected_dmft(task, config.gamma, config.eta, steps + 1, n, config.b)
    inside = step <= steps
    said = "mean field theory, whole to first order in 1/N and 1/B"
    if not inside.all():
        said += f", solved to step {steps} of {config.steps:,}"
    return said, np.where(inside, curve[np.minimum(step, steps)], np.nan), np.zeros(len(step))
