"""Clock or pizza: the verdict on the circuit, and its evidence over training."""

from typing import Any

import numpy as np
import pandas as pd

from interp.figures.progress import lines_figure, panels_figure
from interp.html.blocks import Block, Figure, Link, Table, Text
from interp.html.numbers import fixed
from interp.measures import measure_snapshot
from interp.parts.memo import Unavailable
from interp.runs.run import Run
from interp.story.behaviour import circles_claim
from interp.story.circuit import end_claims
from interp.story.claims import said
from interp.story.keysteps import key_steps
from interp.story.over_training import PIZZA, progress_rows
from interp.story.standing import at, drawn_at, memorising_step, over_run
from interp.story.steps import cursor_track, last_cursor
from interp.story.transition import transition
from interp.story.verdict import (
    ASYMMETRIC,
    CLOSE,
    IRRELEVANT,
    PUBLISHED,
    SCORES,
    SYMMETRIC,
    baseline_claims,
    verdict_claim,
    verdict_of,
)
from interp.story.words import named, short, step_texts

FORMS = {
    "circle_clock_fve": "cos w(a+b-c)",
    "circle_pizza_fve": "pizza",
    "circle_four_neuron_pizza_fve": "pizza, four phases",
    "circle_accompanying_pizza_fve": "accompanying pizza",
}
N_CIRCLES = 4
LOWEST = -1.05
"""Smallest score that is drawn."""
KEY_STEPS = 12
EVIDENCE = (
    "The scores behind the verdict, the last of them the share of all pairs that are answered right if the logits keep "
    "the key frequencies alone. Published: Models A and B of Zhong et al. 2023."
)
ZHONG = "[Zhong et al. 2023](https://arxiv.org/abs/2306.17844)"

FIGURES = {
    "scores": "gradient symmetricity, distance irrelevance and circularity over training",
    "circles": "closed forms beside the logits of single circles",
}
"""Figures of this section by id: their contents."""
TABLES = {"evidence": "scores behind the verdict, beside published values"}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """The verdict and its evidence, scores over training, and the closed forms of single circles at key steps."""
    verdict: list[Block] = [Text(said(verdict_claim(run), *baseline_claims(run)))]
    irrelevance = measure_snapshot(run.last, ["distance_irrelevance"])["distance_irrelevance"]
    if isinstance(irrelevance, Unavailable):
        return [*verdict, Text(f"Scores are not shown: {irrelevance.reason}.")]
    intro = (
        "A clock uses attention to multiply the operands' circles; a pizza adds them. Gradient symmetricity is the "
        "mean cosine between a logit's gradients in the two operands: near 1 in a pizza, lower in a clock. Distance "
        "irrelevance is near 1 where the right answer's logit does not depend on a - b, as in a clock, and 0.1 to 0.4 "
        "in a pizza. Neither score is meaningful before the model has learned the operation, or without circles in the "
        "embedding. "
        f"The rule: symmetricity from {SYMMETRIC} and irrelevance below {IRRELEVANT} is a pizza; symmetricity up to "
        f"{ASYMMETRIC} and irrelevance from {IRRELEVANT} is a clock; symmetricity in between is mixed; scores that "
        "contradict each other are undecided. Without attention that depends on the operands there can be no clock, "
        "and symmetricity alone decides for a pizza. The thresholds are ours; they lie between the groups of Zhong et "
        "al.'s runs."
    )
    evidence = evidence_frame(run)
    table: list[Block] = [Table(evidence, EVIDENCE, id="evidence")] if len(evidence) else []
    return [*verdict, Text(intro), *table, _scores(run, progress_rows(run, PIZZA)), *_circles(run)]


def evidence_frame(run: Run) -> pd.DataFrame:
    """The verdict's scores, with those of the run's untrained and memorising snapshots and the published ones."""
    verdict = verdict_of(run)
    columns: dict[str, dict[str, float]] = {"this run": dict(verdict.scores)}
    if verdict.untrained:
        columns["untrained"] = dict(verdict.untrained)
    if verdict.memorising:
        columns[f"memorising (step {memorising_step(run):,})"] = dict(verdict.memorising)
    columns["published pizza (A)"] = {name: pair[0] for name, pair in PUBLISHED.items()}
    columns["published clock (B)"] = {name: pair[1] for name, pair in PUBLISHED.items() if pair[1] is not None}
    wide = pd.DataFrame(columns).reindex([name for name in SCORES if name in verdict.scores])
    return wide.rename(index=short).reset_index(names="score")


def _scores(run: Run, scores: pd.DataFrame) -> Figure:
    steps = tuple(run.steps)
    fig = lines_figure(named(scores), steps[-1], "line", "score", band=transition(run))
    texts = step_texts(run, scores, steps)
    return Figure(
        id="scores",
        fig=fig,
        heading="Clock or pizza over training",
        takeaway=over_run(run, *end_claims(run, scores, "pizza", PIZZA))
        or said("No score is defined at any snapshot."),
        how="Symmetricity near 1 with irrelevance below 0.6 at the end is a pizza, low symmetricity with irrelevance "
        "above 0.6 a clock. Before the model has learnt the operation the scores mean nothing.",
        source=f"{ZHONG}, sections 4.1 and 4.2 and their notebook: 100 fixed triples; logits of right answers; the "
        "first four principal components of W_E.",
        alt="Line chart of gradient symmetricity, distance irrelevance and circularity against step.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=texts,
        columns={"trace": "score", "x": "step", "y": "value"},
    )


def _circles(run: Run) -> list[Block]:
    """One panel for each of the circles that follow a closed form best at the last snapshot."""
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
        return [Text("Single circles are not shown: no circle's logits resemble any of the closed forms.")]
    shown = frame[frame["k"].isin(best.index)].assign(circle=lambda f: "circle k = " + f["k"].astype(str))
    shown = shown[shown["value"] > LOWEST].sort_values(["k", "step"])
    at_steps = tuple(sorted({int(step) for step in shown["step"]}))
    fig = panels_figure(shown, at_steps[-1], "circle", "form", "2 x correlation - 1")
    cursors = range(len(fig.data) - len(best), len(fig.data))  # type: ignore[arg-type]
    texts = tuple(
        f"{at(run, step)} the nearest forms are: {'; '.join(_fit(some) for _, some in rows.groupby('k'))}."
        for step, rows in shown.groupby("step")
    )
    return [
        Figure(
            id="circles",
            fig=fig,
            heading="What one circle of the embedding computes",
            takeaway=over_run(run, circles_claim(run, last[last["k"].isin(best.index)], CLOSE)),
            how="One panel a circle, one line a closed form: 1 means that the circle's logits have exactly that "
            "form, -1 that they have nothing of it.",
            source=f"{ZHONG}: the model is run with one pair of principal components of W_E alone, and its logits are "
            "compared with closed forms, both scaled to variance 1. The score is 2 x correlation - 1, so -1 means no "
            "correlation; lower scores are not drawn. cos w(a+b-c) is a clock's form, but every circuit for addition "
            "tends to it, so a good fit alone does not make a clock. An accompanying pizza is a circle of twice the "
            f"frequency that it helps. {drawn_at(len(at_steps))}",
            alt="Small line charts, one a circle, of the scores of the closed forms against step.",
            steps=at_steps,
            tracks=tuple(cursor_track(at_steps, trace=i) for i in cursors),
            texts=texts,
            links=_links(fig, shown),
            columns={"trace": "form", "x": "step", "y": "2 x correlation - 1"},
        )
    ]


def _links(fig: Any, shown: Any) -> tuple[Link, ...]:
    """Links of every panel's lines to its circle's frequency; panels share their names of lines."""
    n_forms, ks = shown["form"].nunique(), list(dict.fromkeys(shown["k"]))
    return tuple(Link(i, "k", "trace", np.array([ks[i // n_forms]])) for i in range(n_forms * len(ks)))


def _fit(forms: Any) -> str:
    """The form with the largest score, and how the logits correlate with it."""
    best = forms.loc[forms["value"].idxmax()]
    return f"frequency {best['k']}: {best['form']} (correlation {fixed((best['value'] + 1) / 2)})"
