"""Flags of the commands ``python -m interp.scaling NAME``: one dataclass per command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class FlowOptions:
    """Loss curve of the closed gradient flow: t (eta times updates), loss (sum lambda v^2, no 1/2) and q."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    t_max: float
    """Last time."""
    n: int | None = None
    """Width, for one draw of A(0); infinite by default."""
    seed: int = 0
    """Seed of the draw of A(0)."""
    json: bool = False
    """Print one JSON object instead of a table of ten times."""


@dataclass(frozen=True)
class ExponentsOptions:
    """Regime and exponents of a task."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class LateOptions:
    """Late loss at infinite width: the closed form beside the numerical flow. Rich (gamma > 0) on hard tasks only."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0; below 1 where gamma > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    t: tuple[float, ...] = (1e2, 1e4, 1e6, 1e8)
    """Times, eta times updates."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class PlateausOptions:
    """Loss after infinite training: at a finite width, and with a finite number of reused samples (lazy)."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    sizes: tuple[int, ...] = (16, 64, 256, 1024)
    """Widths N and numbers of samples P."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class FrontOptions:
    """Compute-optimal front over widths, with the measured and the predicted exponents."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    """Widths N, at least five."""
    draws: int = 4
    """Draws of A(0) that losses are averaged over."""
    seed: int = 0
    """Seed of the draws."""
    b: int | None = None
    """Fresh samples per step, with --eta and gamma 0; the population's gradient by default."""
    eta: float | None = None
    """Step size, with --b."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class CompareOptions:
    """A simulation on disk beside the theory that applies to it; python -m interp.report RUN draws both."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory that python -m train.scaling wrote."""
    json: bool = False
    """Print one JSON object, with null for unknown values, instead of a table of ten steps."""


@dataclass(frozen=True)
class ReportOptions:
    """Page of the theory over a grid of tasks: phase map, time exponents, theory and simulation, compute fronts."""

    out: Path = Path("reports/scaling")
    """Folder for index.html."""
    quiet: bool = False
    """Print only the page's path."""
