"""The overview of the scaling theory, ``python -m interp.scaling report``: selects choose a task from a grid."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.figures.scaling import REGIMES, curves_figure, front_figure, phase_figure, time_figure
from interp.html.blocks import Block, Figure, Table, Text
from interp.html.numbers import percent
from interp.html.page import Page, PageSection
from interp.html.tracks import Track
from interp.theory.exponents import Exponents, chi, exponents, regime
from interp.theory.flow import Curve, flow, wide
from interp.theory.fronts import LEAST, Front, fronts
from interp.theory.spectrum import power_law
from train.cli.terminal import tell
from train.scaling.config import ScalingConfig
from train.scaling.simulate import simulate
from train.scaling.store import Simulated
from train.storage.provenance import git_state, versions

GRID: dict[str, tuple[float, ...]] = {
    "alpha": (2.0, 1.5),
    "beta": (1.75, 1.25, 0.75, 0.5, 0.25),
    "gamma": (0.0, 1.0, 10.0),
}
"""Values of the selects; the page opens at the last value of each."""
T_MAX = 1e4
WIDTHS = (16, 32, 64, 128, 256, 512)
DRAWS = 12
SIZE = 384
"""Width and modes of the simulation."""
ETA, STEPS = 0.02, 500
PAPER = "[Bordelon et al. 2024](https://arxiv.org/abs/2409.17858)"
CONVENTIONS = (
    "Eigenvalues of the kernel fall as k^-alpha, the target's power as k^-(1 + alpha beta); gamma is the strength of "
    "feature learning, 0 is lazy. The loss is the sum of lambda_k v_k^2, without 1/2; t is step size times updates."
)


@dataclass(frozen=True)
class Point:
    """Everything that the page shows about one task."""

    alpha: float
    beta: float
    gamma: float
    predicted: Exponents
    curve: Curve
    simulated: Simulated
    front: Front

    @property
    def name(self) -> str:
        """The task in words, as the page shows it."""
        return f"alpha = {self.alpha:g}, beta = {self.beta:g}, gamma = {self.gamma:g}"


def build(quiet: bool = True) -> Page:
    """Compute every task of the grid and build the page; takes minutes, and names each task unless ``quiet``."""
    points = []
    for alpha in GRID["alpha"]:
        tasks = list(itertools.product(GRID["beta"], GRID["gamma"]))
        for (beta, gamma), front in zip(tasks, fronts(alpha, tasks, WIDTHS, DRAWS, per_decade=10), strict=True):
            points.append(_point(alpha, beta, gamma, front))
            if not quiet:
                tell(f"{points[-1].name} ({len(points)} of {len(GRID['alpha']) * len(tasks)})")
    steps = tuple(range(len(points)))
    return Page(
        title="Feature learning and scaling laws",
        subtitle=f"The solvable two-layer linear model of Bordelon et al. 2024 on power-law tasks; {len(points)} tasks",
        sections=[
            PageSection("regimes", "Regimes", [Text(CONVENTIONS), _phases(points, steps), _times(points, steps)]),
            PageSection("curves", "Theory and simulation", [_curves(points, steps)]),
            PageSection("fronts", "Compute", [_fronts(points, steps)]),
            PageSection("exponents", "Exponents", _tables(points)),
        ],
        steps=steps,
        step_labels=tuple(point.name for point in points),
        provenance={"versions": versions(), "git": git_state(), "seed": 0},
        choices={name: tuple(f"{value:g}" for value in values) for name, values in GRID.items()},
    )


def _point(alpha: float, beta: float, gamma: float, front: Front) -> Point:
    config = ScalingConfig(
        alpha=alpha, beta=beta, gamma=gamma, form="plain", n=SIZE, m=SIZE, tail=True, eta=ETA, steps=STEPS, seeds=1
    )
    return Point(
        alpha, beta, gamma, exponents(alpha, beta, gamma, infinite_batch=True),
        flow(wide(power_law(alpha, beta)), gamma, T_MAX), simulate(config), front,
    )  # fmt: skip


def _phases(points: list[Point], steps: tuple[int, ...]) -> Block:
    alphas, betas = np.round(np.linspace(1.02, 3, 100), 4), np.round(np.linspace(0.02, 2.5, 125), 4)
    rows = [(a, b, REGIMES.index(regime(a, b))) for a in alphas.tolist() for b in betas.tolist()]
    here = np.array([[[p.alpha], [p.beta]] for p in points])
    fig = phase_figure(pd.DataFrame(rows, columns=["alpha", "beta", "regime"]), points[-1].alpha, points[-1].beta)
    return Figure(
        fig=fig,
        heading="Phases",
        takeaway="On hard tasks (beta < 1) feature learning makes the loss fall faster; on easy and super-easy tasks "
        "(beta > 2 - 1/alpha) the exponent stays the same.",
        source=f"Boundaries beta = 1 and beta = 2 - 1/alpha, {PAPER}.",
        alt="Map of the three regimes over alpha and beta, with a cross at the chosen task.",
        steps=steps,
        tracks=(Track(1, "x", here[:, 0]), Track(1, "y", here[:, 1])),
        texts=tuple(f"{p.name}: {p.predicted.regime}." for p in points),
    )


def _times(points: list[Point], steps: tuple[int, ...]) -> Block:
    beta = np.linspace(0.02, 2, 199)
    frame = pd.DataFrame({"beta": beta, "lazy": beta, "rich": [chi(b) for b in beta.tolist()]})
    here = np.array([[[p.beta], [p.predicted.time]] for p in points])
    return Figure(
        fig=time_figure(frame, points[-1].beta, points[-1].predicted.time),
        heading="Time exponent",
        takeaway="Feature learning raises the exponent by beta (1 - beta)/(1 + beta) on hard tasks: at most 0.172, at "
        "beta = 0.414.",
        source=f"chi = beta max(1, 2/(1 + beta)): equation 10 of {PAPER}.",
        alt="Time exponent against beta: a straight line, lazy, and above it for beta below 1 the rich one.",
        steps=steps,
        tracks=(Track(2, "x", here[:, 0]), Track(2, "y", here[:, 1])),
        texts=tuple(f"{p.name}: the loss falls as t^-{p.predicted.time:.3f}." for p in points),
    )


def _curves(points: list[Point], steps: tuple[int, ...]) -> Block:
    t, t_simulated = np.geomspace(0.02, T_MAX, 120), points[0].simulated.t[1:]
    theory = np.stack([p.curve.at(t) for p in points])
    slopes = np.stack([theory[i, -1] * (t / T_MAX) ** -p.predicted.time for i, p in enumerate(points)])
    slopes = np.where(slopes < 3 * theory[:, :1], slopes, np.nan)
    simulated = np.stack([p.simulated.loss[0, 1:] for p in points])
    residual = simulated / np.stack([p.curve.at(t_simulated) for p in points]) - 1
    fig = curves_figure(
        pd.DataFrame({"t": t, "loss": theory[-1], "power": slopes[-1]}),
        pd.DataFrame({"t": t_simulated, "loss": simulated[-1], "residual": residual[-1]}),
    )
    texts = tuple(
        f"{p.name}: simulation within {percent(np.abs(row).max())} of the theory; the kernel's scale q is "
        f"{p.simulated.q[0, -1]:.2f} at t = {t_simulated[-1]:g}."
        for p, row in zip(points, residual, strict=True)
    )
    return Figure(
        fig=fig,
        heading="Loss over time",
        takeaway=f"Over all {len(points)} tasks the simulation stays within {percent(np.abs(residual).max())} of the "
        "theory.",
        source=f"Theory: the closed gradient flow at infinite width. Simulation: gradient descent, N = M = {SIZE}, "
        f"step size {ETA}, modes beyond M unlearned. Model: {PAPER}.",
        alt="Loss against time of theory and simulation, and below it their relative difference.",
        steps=steps,
        tracks=(Track(0, "y", theory), Track(1, "y", slopes), Track(2, "y", simulated), Track(3, "y", residual)),
        texts=texts,
    )


def _fronts(points: list[Point], steps: tuple[int, ...]) -> Block:
    cs = [p.front.compute for p in points]
    most = max(map(len, cs))
    compute, losses = np.full((len(points), most), np.nan), np.full((len(points), len(WIDTHS), most), np.nan)
    lines, texts = np.full((len(points), most), np.nan), []
    for i, p in enumerate(points):
        compute[i, : len(cs[i])], losses[i, :, : len(cs[i])] = cs[i], p.front.loss
        lines[i], words = _predicted(p, compute[i])
        texts.append(f"{p.name}: {words}")
    frame = pd.concat(
        [pd.DataFrame({"compute": compute[-1], "loss": losses[-1, j], "n": n}) for j, n in enumerate(WIDTHS)]
    )
    tracks = [Track(j, "y", losses[:, j]) for j in range(len(WIDTHS))] + [Track(len(WIDTHS), "y", lines)]
    tracks += [Track(j, "x", compute) for j in range(len(WIDTHS) + 1)]
    return Figure(
        fig=front_figure(frame, pd.DataFrame({"compute": compute[-1], "loss": lines[-1]})),
        heading="Best loss at a given compute",
        takeaway="The best width grows with compute: the front touches each width's curve where it begins to flatten.",
        source=f"The projected model of infinitely many modes, mean over {DRAWS} draws of A(0), population gradients "
        f"(B infinite); exponents by balancing the terms of {PAPER}.",
        alt="Loss against compute for several widths, whose lower envelope is the compute-optimal front.",
        steps=steps,
        tracks=tuple(tracks),
        texts=tuple(texts),
    )


def _predicted(point: Point, compute: Float[np.ndarray, " cs"]) -> tuple[Float[np.ndarray, " cs"], str]:
    """A line of the predicted slope through the middle of the front, and both kinds of exponents in words."""
    C, best, _ = point.front.kinks
    r, n = point.predicted.compute, point.predicted.n_opt
    predicted = f"predicted L ~ C^-{r:.3f}, N ~ C^{n:.3f}, t ~ C^{1 - n:.3f}"
    if len(C) < LEAST:
        return np.full(
            len(compute), np.nan
        ), f"{predicted}; too few points on the front at these widths for a measurement."
    r, n = point.front.exponents()
    middle = len(C) // 2
    line = best[middle] * (compute / C[middle]) ** -point.predicted.compute
    inside = (compute >= C[0]) & (compute <= C[-1])
    measured = f"measured between N = {WIDTHS[0]} and {WIDTHS[-1]}: {r:.3f}, {n:.3f}, {1 - n:.3f}"
    return np.where(inside, line, np.nan), f"{predicted}; {measured}."


def _tables(points: list[Point]) -> list[Block]:
    rows: list[dict[str, Any]] = []
    for p in points:
        fixed = exponents(p.alpha, p.beta, p.gamma)
        rows.append({"alpha": p.alpha, "beta": p.beta, "gamma": p.gamma, **fixed.to_json()})
    caption = "Exponents for batches of fixed size; an empty cell means that no exponent is claimed."
    note = (
        "The plateau at finite width falls as N^-(alpha min(1, beta)). Published summaries have min(2, beta) or beta "
        "instead; the residual of a random projection decides, see docs/background/scaling_laws.md."
    )
    return [Text(note), Table(pd.DataFrame(rows), caption)]
