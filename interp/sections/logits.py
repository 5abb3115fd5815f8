"""Logits as a function of the distance from the right answer, a form that every circuit for addition produces."""

import numpy as np
import pandas as pd

from interp.figures.images import image_figure
from interp.figures.logits import profile_figure
from interp.figures.progress import lines_figure
from interp.html.blocks import Block, Figure, Link, Text
from interp.html.numbers import number, percent
from interp.html.tracks import Track
from interp.measures import measure_snapshot
from interp.parts.keyfreqs import key_freqs_of
from interp.parts.memo import NotApplicable
from interp.parts.pairs import logit_means
from interp.parts.rows import law_of
from interp.runs.run import Run
from interp.story.behaviour import PARTS, by_answer_claim, coefficient_claim, profile_claim
from interp.story.claims import listed
from interp.story.frequencies import colours_of, line_links
from interp.story.keysteps import image_steps
from interp.story.over_training import progress_of, progress_rows
from interp.story.standing import at, drawn_at, over_run, untrained_step
from interp.story.steps import last_cursor
from interp.story.transition import transition

NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"

FIGURES = {
    "profile": "mean logit round the right answer",
    "by_answer": "mean logits by right answer",
    "coefficients": "coefficients of cos w(a+b-c) at the key frequencies",
}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """The profile round the right answer, mean logits by answer, and coefficients over training."""
    try:
        law_of(run)
    except NotApplicable as reason:
        return [Text(f"Not shown: {reason}.")]
    return [_profile(run), _by_answer(run), *_coefficients(run)]


def _profile(run: Run) -> Figure:
    steps, profiles = tuple(run.steps), progress_of(run).profiles
    assert profiles is not None
    frame = pd.DataFrame({"d": range(profiles.shape[1]), "logit": profiles[-1]})
    margins = profiles[:, 0] - profiles[:, 1:].max(axis=1)
    texts = tuple(
        f"{at(run, step)} the right answer's mean logit is {number(abs(margin))} "
        f"{'above' if margin >= 0 else 'below'} the largest other."
        for step, margin in zip(steps, margins, strict=True)
    )
    untrained = untrained_step(run)
    before = {} if untrained is None else measure_snapshot(run[untrained], ["clock_share"])
    return Figure(
        id="profile",
        fig=profile_figure(frame),
        heading="Mean logit round the right answer",
        takeaway=over_run(run, profile_claim(run, measure_snapshot(run.last, PARTS), before)),
        how="The right answer stands at 0. A peak there and waves beside it are sums of a few cosines; a network "
        "that only memorised has a peak on its training pairs and noise beside it.",
        source="Mean over all pairs of the logit of the d-th answer after the right one along the cycle, less the mean "
        "over answers; its Fourier transform gives the coefficients of cos w(a+b-c). Every circuit for addition has "
        "this form, so it does not tell a clock from a pizza.",
        alt="Line chart of the mean logit against distance from the right answer.",
        steps=steps,
        tracks=(Track(0, "y", profiles),),
        texts=texts,
        columns={"x": "distance from the right answer", "y": "mean logit"},
    )


def _by_answer(run: Run) -> Figure:
    law = law_of(run)
    steps = tuple(image_steps(run.evaluations, run.steps, law.n, 2))
    grids = np.stack([logit_means(run[step])[:, law.cycle.order].numpy() for step in steps])
    grids -= grids.mean(axis=2, keepdims=True)
    right = [float(np.mean(grid.argmax(axis=1) == np.arange(law.n))) for grid in grids]
    texts = tuple(
        f"{at(run, step)} the right answer has the largest mean logit for {percent(share)} of the answers."
        for step, share in zip(steps, right, strict=True)
    )
    return Figure(
        id="by_answer",
        fig=image_figure(grids[-1], "mean logit", x="logit c", y="right answer"),
        heading="Logit map: mean logits by right answer",
        takeaway=over_run(run, by_answer_claim(run, steps, right)),
        how="One row a right answer, one column a logit. A bright diagonal means that right answers win; parallel "
        "stripes mean that the logits depend on the distance from the right answer alone.",
        source="Mean over the pairs with one answer, less the mean over c; rows and columns along the cycle: "
        f"{law.cycle.name}. Training pairs are "
        f"included, so memorisation raises the main diagonal too. {drawn_at(len(steps))} {NANDA}.",
        alt="Image of the mean logit by right answer and logit.",
        steps=steps,
        tracks=(Track(0, "z", grids, coarse=True),),
        texts=texts,
        links=(Link(0, "token", "x"), Link(0, "token", "y")) if not law.cycle.is_multiplicative else (),
        columns={"x": "answer c", "y": "right answer", "z": "mean logit"},
    )


def _coefficients(run: Run) -> list[Block]:
    try:
        keys = key_freqs_of(run).ks
    except NotApplicable as reason:
        return [Text(f"Coefficients of key frequencies are not shown: {reason}.")]
    steps, frame = tuple(run.steps), progress_rows(run, ("logit_coefficient",))
    shown = pd.concat([frame[frame["k"] == k] for k in keys])
    shown = shown.assign(frequency="k = " + shown["k"].astype(str))
    ks = {f"k = {k}": k for k in keys}
    colours = dict(zip(ks, colours_of(run, keys), strict=True))
    fig = lines_figure(shown, steps[-1], "frequency", "coefficient (logits)", band=transition(run), colours=colours)
    wide = shown.pivot(index="step", columns="frequency", values="value")[[f"k = {k}" for k in keys]]
    texts = tuple(f"{at(run, step)} the coefficients in logits are {_values(wide.loc[step])}." for step in steps)
    last = {k: float(wide.loc[steps[-1], name]) for name, k in ks.items()}
    return [
        Figure(
            id="coefficients",
            fig=fig,
            heading="Coefficients of cos w(a+b-c)",
            takeaway=over_run(run, coefficient_claim(last)),
            how="One line a key frequency: how strongly the logits follow its wave. A line that rises is a "
            "wave that they come to follow.",
            source=f"Coefficient of the logits along cos w(a+b-c) scaled to unit norm over all pairs and c; {NANDA}.",
            alt=f"Line chart of the coefficient of each key frequency, {', '.join(map(str, keys))}, against step.",
            steps=steps,
            tracks=last_cursor(steps, fig),
            texts=texts,
            links=line_links(fig, ks),
            columns={"trace": "frequency", "x": "step", "y": "coefficient (logits)"},
        )
    ]


def _values(row: pd.Series) -> str:
    """Each frequency's coefficient, as an English list."""
    return listed([f"{number(value)} at {name}" for name, value in row.items()])
