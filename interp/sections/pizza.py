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
from .progress import ends, step_texts, transition

FORMS = {
    "circle_clock_fve": "clock",
    "circle_pizza_fve": "pizza",
    "circle_four_neuron_pizza_fve": "pizza, four phases",
    "circle_accompanying_pizza_fve": "accompanying pizza",
}
N_CIRCLES = 4
LOWEST = -1.05
"""Smallest score that is drawn."""
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
    texts = step_texts(scores, steps)
    return Figure(
        fig=fig,
        heading="Clock or pizza over training",
        takeaway=ends(scores, *PIZZA),
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
    best = last.groupby("k")["value"].max().sort_values(ascending=False)
    best = best[best > LOWEST].head(N_CIRCLES)
    if not len(best):
        return [Text("Single circles are not shown: the logits of none are like a clock's or a pizza's.")]
    shown = frame[frame["k"].isin(best.index)].assign(circle=lambda f: "circle k = " + f["k"].astype(str))
    shown = shown[shown["value"] > LOWEST].sort_values(["k", "step"])
    at = tuple(sorted({int(step) for step in shown["step"]}))
    fig = panels_figure(shown, at[-1], "circle", "form", "2 x correlation - 1")
    cursors = range(len(fig.data) - len(best), len(fig.data))  # type: ignore[arg-type]
    texts = tuple(
        f"At step {step:,}: {'; '.join(_fit(some) for _, some in rows.groupby('k'))}."
        for step, rows in shown.groupby("step")
    )
    return [
        Figure(
            fig=fig,
            heading="What one circle of the embedding computes",
            takeaway=f"The form nearest to each circle's logits. {texts[-1]}",
            source=f"{ZHONG}: the model run with one pair of principal components of W_E alone; its logits against "
            "closed forms, both scaled to variance 1: the score is 2 x correlation - 1, so -1 is no relation; lower "
            "ones are not drawn. An accompanying pizza is a circle of twice the frequency that it helps. At "
            f"{len(steps)} snapshots over the transition, where there is a circle.",
            alt="Small line charts, one a circle, of the scores of clock and pizza forms against step.",
            steps=at,
            tracks=tuple(cursor_track(at, trace=i) for i in cursors),
            texts=texts,
        )
    ]


def _fit(forms: Any) -> str:
    """The form with the largest score, and that it is far from the logits where their correlation is below 0.75."""
    best = forms.loc[forms["value"].idxmax()]
    poor = ", but far" if best["value"] < 0.5 else ""
    return f"k = {best['k']}: {best['form']} ({best['value']:.2f}{poor})"
