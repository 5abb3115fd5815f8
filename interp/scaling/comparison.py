"""A simulation on disk beside the theory that applies to its kind of training.

``python -m interp.scaling compare RUN``; in a REPL, ``from interp.scaling.comparison import compare``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from interp.theory.corrections import corrected_dmft
from interp.theory.finite import kernel_bytes, nested, reused
from interp.theory.flow import Modes, flow, wide
from interp.theory.sgd import lazy_sgd
from interp.theory.spectrum import Spectrum, power_law, tail
from train.engine.memory import check_fits
from train.errors import DataError, UsageError
from train.scaling.config import ScalingConfig
from train.scaling.store import read_simulation

from .errors import theory_errors

DRAWS = 16
"""Number of draws of A(0) or of samples over which the theory is averaged; their seed differs from the simulation's."""
LONGEST = 100
"""Largest number of steps for which the mean field theory is solved: memory grows as its square, time as its cube."""

Losses = Float[np.ndarray, " times"]


@dataclass(frozen=True)
class Comparison:
    """A simulation, and its mean loss as the theory predicts it."""

    config: ScalingConfig
    theory: str
    """Name of the theory, or the reason why there is none."""
    curves: pd.DataFrame
    """Columns step, t (eta times updates), loss (mean over seeds), theory (mean over draws; NaN at steps that the
    theory does not reach), their standard errors loss_error (NaN for one seed) and theory_error, residual (loss/theory
    - 1), residual_error (of loss and theory together), and q (mean over seeds)."""


def compare(path: str | Path) -> Comparison:
    """Read a simulation that ``python -m train.scaling`` wrote, and compute the theory that applies to it.

    A theory that cannot be solved is no error: its name then starts with "none:", and its curve is NaN.

    Raises:
        DataError: the simulation cannot be read.
    """
    config, simulated = read_simulation(Path(path))
    try:
        name, theory, theory_error = predicted(config, simulated.step)
    except DataError as error:
        name, theory, theory_error = f"none: {error}", *np.full((2, len(simulated.step)), np.nan)
    mean, error = _mean(simulated.loss)
    if config.seeds == 1:
        error = np.full(len(mean), np.nan)
    columns = {"step": simulated.step, "t": simulated.t, "loss": mean, "theory": theory, "loss_error": error}
    columns |= {"theory_error": theory_error, "residual": mean / theory - 1}
    columns |= {"residual_error": np.hypot(error, theory_error) / theory, "q": simulated.q.mean(axis=0)}
    return Comparison(config, name, pd.DataFrame(columns))


@theory_errors()
def predicted(config: ScalingConfig, step: Int[np.ndarray, " times"]) -> tuple[str, Losses, Losses]:
    """Name of the theory, mean loss at the steps, and the standard error of a mean over draws (0 without draws).

    Raises:
        DataError: the theory cannot be solved, or does not fit in memory.
    """
    try:
        check_fits(_bytes(config), "the theory of this simulation", "n, m or p")
    except UsageError as error:  # no flag of this command was wrong
        raise DataError(str(error)) from error
    if config.b is not None and config.gamma > 0:
        return _mean_field(config, step)
    modes = [wide(_task(config))] if config.form == "plain" and config.p is None else list(_drawn(config))
    drawn = "" if len(modes) == 1 else f", mean over {len(modes)} draws"
    if config.gamma == 0 and config.p is None:
        name, curves = "lazy recursion, exact", [lazy_sgd(m, config.eta, config.b, step) for m in modes]
    else:
        t, name = config.eta * step, "closed gradient flow"
        curves = [flow(m, config.gamma, config.t_max).at(t) for m in modes]
    return name + drawn, *_mean(np.array(curves))


def _bytes(config: ScalingConfig) -> int:
    """Estimated memory of the theory's computation, in bytes."""
    is_drawn = config.form != "plain" or config.p is not None
    numbers = 30 * config.m + 4 * is_drawn * (config.n + (config.p or 0)) * (config.n + config.m)
    return max(8 * numbers, kernel_bytes(config.n, None if config.tail else config.m) if is_drawn else 0)


def _mean(curves: Float[np.ndarray, "several times"]) -> tuple[Losses, Losses]:
    """Mean, and its standard error, which is 0 for a single curve."""
    several = len(curves)
    return curves.mean(axis=0), curves.std(axis=0, ddof=min(1, several - 1)) / np.sqrt(several)


def _task(config: ScalingConfig) -> Spectrum:
    """The simulated task, mode by mode."""
    k = np.arange(1, config.m + 1.0)
    power = 1 + config.alpha * config.beta
    beyond = tail(power, config.m) if config.tail else 0.0
    return Spectrum(k**-config.alpha, k**-power, np.ones(config.m), beyond)


def _drawn(config: ScalingConfig) -> Iterable[Modes]:
    """Modes of the model for draws of A(0) and of reused samples."""
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
    name = "mean field theory, whole to first order in 1/N and 1/B"
    if not inside.all():
        name += f", solved to step {steps} of {config.steps:,}"
    return name, np.where(inside, curve[np.minimum(step, steps)], np.nan), np.zeros(len(step))
