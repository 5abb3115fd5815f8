"""The page of a simulation of the solvable model: its loss beside the theory, and its config."""

from pathlib import Path

import numpy as np
import pandas as pd

from interp.figures.scaling import curves_figure
from interp.html.blocks import Figure, Table, Text
from interp.html.numbers import percent
from interp.html.page import Page, PageSection
from interp.scaling.comparison import Comparison, compare
from interp.scaling.errors import theory_errors
from interp.theory.exponents import exponents
from interp.theory.fits import fit_slope
from train.scaling.store import is_simulation
from train.storage.provenance import git_state, versions

from .kind import Built, Kind, folder_for
from .overview import CONVENTIONS, PAPER


@theory_errors()
def build(path: Path, out: Path | None) -> Built:
    """Build the page of the simulation at ``path``.

    Raises:
        DataError: the simulation cannot be read.
    """
    compared = compare(path)
    config = compared.config
    time = exponents(config.alpha, config.beta, config.gamma).time
    limit = f"At infinite width, with population gradients, the loss of this task falls as t^-{time:.3f}."
    fields = pd.DataFrame(
        [(name, "" if value is None else str(value)) for name, value in config.to_json().items()],
        columns=["field", "value"],
    )
    curves = [Text(f"{CONVENTIONS} {limit}"), _curves(compared), _numbers(compared)]
    name = path.resolve().name
    page = Page(
        title=name,
        subtitle=f"A simulation of the solvable model of Bordelon et al. 2024, {config.form.replace('_', ' ')}",
        sections=[
            PageSection("curves", "Theory and simulation", curves),
            PageSection("config", "Config", [Table(fields, "Fields of the simulation's config.")]),
        ],
        provenance={"versions": versions(), "git": git_state(), "seed": config.seed},
    )
    return Built(page, folder_for(name, out))


def _curves(compared: Comparison) -> Figure:
    config, curves = compared.config, compared.curves.iloc[1:]  # t = 0 has no place on a log scale
    known = curves.dropna(subset=["theory"])
    theory = known[["t", "theory"]].rename(columns={"theory": "loss"})
    losses = np.concatenate([known["theory"], curves["loss"]])
    decades = float(np.log10(losses.max() / losses.min()))
    within = f"The simulation stays within {percent(known['residual'].abs().max())} of the theory{_noise(known)}."
    seeds = "one seed" if config.seeds == 1 else f"mean over {config.seeds} seeds, bars are standard errors"
    return Figure(
        fig=curves_figure(theory, _without_empty(curves), "D2" if decades < 2 else 1 if decades < 5 else 2),
        heading="Loss over time",
        takeaway=f"{within if len(known) else 'There is no theory to compare with.'} {_slope(curves)}",
        source=f"Theory: {compared.theory}. Simulation: gradient descent, {seeds}. Model: {PAPER}.",
        alt="Loss against time of theory and simulation, and below it their relative difference.",
    )


def _without_empty(curves: pd.DataFrame) -> pd.DataFrame:
    """The frame without columns of standard errors that are NaN throughout, as for a single seed."""
    return curves.drop(columns=[name for name in ("loss_error", "residual_error") if bool(curves[name].isna().all())])


def _noise(known: pd.DataFrame) -> str:
    """The largest distance from the theory in standard errors, as the end of a sentence; empty where unknown."""
    far = np.abs(known["residual"].to_numpy() / known["residual_error"].to_numpy())
    far = far[np.isfinite(far)]
    return f", {far.max():.1f} standard errors at most" if len(far) else ""


def _slope(curves: pd.DataFrame) -> str:
    """A sentence on the slope over the last decade, and on whether the slope can be an exponent."""
    t, loss = curves["t"].to_numpy(), curves["loss"].to_numpy()
    late = t >= t[-1] / 10
    if late.sum() < 10:
        return ""
    fit = fit_slope(t[late], loss[late])
    bent = "" if fit.plateau is None else f"; this slope is not an exponent: {fit.plateau}"
    return f"Over its last decade the loss falls as t^{fit.slope:.3f}{bent}."


def _numbers(compared: Comparison) -> Table:
    rows = compared.curves.iloc[np.unique(np.linspace(0, len(compared.curves) - 1, 12).astype(int))]
    return Table(rows, "The curves at selected steps.")


KIND = Kind("a simulation of the solvable model", is_simulation, build)
