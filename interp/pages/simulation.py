"""The page of one simulation on disk: its loss beside the theory, and what was simulated."""

from pathlib import Path

import numpy as np
import pandas as pd

from interp.figures.scaling import curves_figure
from interp.html.blocks import Figure, Table, Text
from interp.html.page import PageSection, render_page, write_page
from interp.scaling.comparison import Comparison, compare
from interp.theory.exponents import exponents
from interp.theory.fits import fit_slope
from train.storage.provenance import git_state, versions

from .overview import CONVENTIONS, PAPER


def build_run(path: Path, folder: Path) -> Path:
    """Write the page of a simulation; its path.

    Raises:
        DataError: the simulation cannot be read.
    """
    found = compare(path)
    config = found.config
    time = exponents(config.alpha, config.beta, config.gamma).time
    limit = f"At infinite width and on the population the loss of this task falls as t^-{time:.3f}."
    fields = pd.DataFrame(
        [(name, "" if value is None else str(value)) for name, value in config.to_json().items()],
        columns=["field", "value"],
    )
    html = render_page(
        title=path.resolve().name,
        subtitle=f"A simulation of the solvable model of Bordelon et al. 2024, {config.form.replace('_', ' ')}",
        sections=[
            PageSection(
                "curves", "Theory and simulation", [Text(f"{CONVENTIONS} {limit}"), _curves(found), _numbers(found)]
            ),
            PageSection("config", "What was simulated", [Table(fields, "Fields of its config.")]),
        ],
        steps=(),
        step_labels=(),
        provenance={"versions": versions(), "git": git_state(), "seed": config.seed},
    )
    write_page(folder / "index.html", html)
    return folder / "index.html"


def _curves(found: Comparison) -> Figure:
    config, curves = found.config, found.curves.iloc[1:]  # t = 0 has no place on a log scale
    known = curves.dropna(subset=["theory"])
    theory = known[["t", "theory"]].rename(columns={"theory": "loss"})
    losses = np.concatenate([known["theory"], curves["loss"]])
    decades = float(np.log10(losses.max() / losses.min()))
    within = f"The simulation stays within {known['residual'].abs().max():.1%} of the theory{_noise(known)}."
    seeds = "one seed" if config.seeds == 1 else f"mean over {config.seeds} seeds, bars are standard errors"
    return Figure(
        fig=curves_figure(theory, _without_empty(curves), "D2" if decades < 2 else 1 if decades < 5 else 2),
        heading="Loss over time",
        takeaway=f"{within if len(known) else 'There is no theory to compare with.'} {_slope(curves)}",
        source=f"Theory: {found.theory}. Simulation: gradient descent, {seeds}. Model: {PAPER}.",
        alt="Loss against time of theory and simulation, and below it their relative difference.",
    )


def _without_empty(curves: pd.DataFrame) -> pd.DataFrame:
    """Without the standard errors of a single seed; the residual stays, if only as NaN."""
    return curves.drop(columns=[name for name in ("loss_error", "residual_error") if bool(curves[name].isna().all())])


def _noise(known: pd.DataFrame) -> str:
    """How much of the distance is chance, where that is known."""
    far = np.abs(known["residual"].to_numpy() / known["residual_error"].to_numpy())
    far = far[np.isfinite(far)]
    return f", {far.max():.1f} standard errors at most" if len(far) else ""


def _slope(curves: pd.DataFrame) -> str:
    """The slope over the last decade, and whether it can be an exponent."""
    t, loss = curves["t"].to_numpy(), curves["loss"].to_numpy()
    late = t >= t[-1] / 10
    if late.sum() < 10:
        return ""
    fit = fit_slope(t[late], loss[late])
    bent = "" if fit.plateau is None else f", which is no exponent: {fit.plateau}"
    return f"Over its last decade the loss falls as t^{fit.slope:.3f}{bent}."


def _numbers(found: Comparison) -> Table:
    rows = found.curves.iloc[np.unique(np.linspace(0, len(found.curves) - 1, 12).astype(int))]
    return Table(rows, "The curves at some steps.")
