"""Clock or pizza, over training."""

from typing import Any

import pandas as pd

from ..figures.progress import lines_figure, panels_figure
from ..html import Block, Figure, Text
from ..keysteps import key_steps
from ..measures import measure_snapshot
from ..progress import PIZZA, chosen
from ..runs import Run
from ..structure import Unavailable
from .curves import cursor_track
from .progress import transition

FORMS = {
    "circle_clock_fve": "clock",
    "circle_pizza_fve": "pizza",
    "circle_four_neuron_pizza_fve": "pizza, four phases",
    "circle_accompanying_pizza_fve": "accompanying pizza",
}
N_CIRCLES = 4
KEY_STEPS = 12
ZHONG = "[Zhong et al. 2023](https://arxiv.org/abs/2306.17844)"


def build(run: Run) -> list[Block]:
    """Scores over training, and the closed forms of single circles at the key steps."""
    scores = chosen(run, PIZZA)
    irrelevance = measure_snapshot(run.last, ["distance_irrelevance"])["distance_irrelevance"]
    if isinstance(irrelevance, Unavailable):
        return [Text(f"Not shown: {irrelevance.reason}.")]
    intro = (
        "A clock multiplies the operands' circles, a pizza adds them. Gradient symmetricity is about 1 in a pizza and "
        "lower in a clock (0 in an exact one); distance irrelevance about 1 in a clock and 0.1 to 0.4 in a pizza; both "
        "mean something only where circularity is high."
    )
    return [Text(intro), _scores(run, scores), *_circles(run)]


def _scores(run: Run, scores: pd.DataFrame) -> Figure:
    steps = tuple(run.steps)
    fig = lines_figure(scores, steps[-1], "measure", "score", band=transition(run))
    wide = scores.pivot(index="step", columns="measure", values="value")
    texts = tuple(
        f"At step {step:,}: " + ", ".join(f"{name} {wide.loc[step, name]:.2f}" for name in wide.columns) + "."
        for step in steps
    )
    return Figure(
        fig=fig,
        heading="Clock or pizza over training",
        takeaway=texts[-1],
        source=f"{ZHONG}, sections 4.1 and 4.2 and their notebook: 100 fixed triples; logits of right answers; the "
        "first four principal components of W_E.",
        alt="Line chart of gradient symmetricity, distance irrelevance and circularity against step.",
        steps=steps,
        tracks=(cursor_track(steps, trace=len(fig.data) - 1),),  # type: ignore[arg-type]
        texts=texts,
    )


def _circles(run: Run) -> list[Block]:
    """One panel for each circle of the last snapshot that explains the most."""
    steps = tuple(key_steps(run.evaluations, run.steps, KEY_STEPS))
    rows = []
    for step in steps:
        for name, value in measure_snapshot(run[step], FORMS).items():
            if isinstance(value, dict):
                rows += [(step, k, FORMS[name], fve) for k, fve in value.items()]
    frame: Any = pd.DataFrame(rows, columns=["step", "k", "form", "value"])
    last = frame[frame["step"] == steps[-1]]
    if not len(last):
        reason = measure_snapshot(run.last, ["circle_clock_fve"])["circle_clock_fve"]
        return [Text(f"Single circles are not shown: {reason.reason}.")] if isinstance(reason, Unavailable) else []
    best = last.groupby("k")["value"].max().sort_values(ascending=False).head(N_CIRCLES)
    shown = frame[frame["k"].isin(best.index)].assign(circle=lambda f: "circle k = " + f["k"].astype(str))
    shown = shown[shown["value"] > -1.05].sort_values(["k", "step"])
    fits = [
        f"k = {k}: {some.loc[some['value'].idxmax(), 'form']} ({some['value'].max():.1%})"
        for k, some in last[last["k"].isin(best.index)].groupby("k")
    ]
    return [
        Figure(
            fig=panels_figure(shown, "circle", "form", "share of variance explained"),
            heading="What one circle of the embedding computes",
            takeaway=f"At step {steps[-1]:,} the form that explains each circle best: {'; '.join(fits)}.",
            source=f"{ZHONG}: the model run with one pair of principal components of W_E alone; its logits against "
            "closed forms, both scaled to variance 1, so -1 is no relation. An accompanying pizza is a circle of twice "
            f"the frequency that it helps. At {len(steps)} snapshots over the transition, where there is a circle.",
            alt="Small line charts, one a circle, of the variance explained by clock and pizza forms against step.",
        )
    ]
