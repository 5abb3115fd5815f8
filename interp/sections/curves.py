"""Loss and accuracy over training."""

from typing import Any

import numpy as np

from interp.figures.curves import accuracy_figure, loss_figure
from interp.html.blocks import Block, Figure, Text
from interp.runs.run import Run
from interp.story.claims import is_there, said
from interp.story.outcome import accuracy_claims, listed_claims, loss_claims
from interp.story.standing import at
from interp.story.steps import cursor_track, last_cursor

SOURCE = (
    "Losses: mean cross-entropy in nats, log-softmax in float64 "
    "([Nanda et al. 2023](https://arxiv.org/abs/2301.05217)); a row counts as right if the answer has "
    "the largest logit. Data: log.jsonl, the rows with a test evaluation."
)
MAX_POINTS = 2000
"""Largest number of log rows drawn as points of a curve."""
FIGURES = {"loss": "loss over training", "accuracy": "accuracy over training"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A figure of the losses and, if the log has them, one of the accuracies, each with a cursor at the step."""
    if run.origin.kind == "imported":
        return of_the_source(run)
    rows = run.evaluations
    if rows.empty:
        return [Text("Not shown: the curves come from the log, which holds no evaluations yet.")]
    steps = tuple(run.steps)
    logged = rows.set_index("step").reindex(list(steps))
    loss = Figure(
        id="loss",
        fig=loss_figure(rows, steps[-1]),
        heading="Loss over training",
        takeaway=said(*loss_claims(run)),
        source=SOURCE,
        alt="Line chart of train and test loss against step, both axes logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "loss") for step, row in logged.iterrows()),
    )
    if bool(rows[["train_acc", "test_acc"]].isna().to_numpy().all()):
        return [loss, Text("Accuracy over training is not shown: the log does not record it.")]
    accuracy = Figure(
        id="accuracy",
        fig=accuracy_figure(rows, steps[-1]),
        heading="Accuracy over training",
        takeaway=said(*accuracy_claims(run)),
        source=SOURCE,
        alt="Line chart of train and test accuracy against step, step axis logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "acc") for step, row in logged.iterrows()),
    )
    return [loss, accuracy]


def of_the_source(run: Run) -> list[Block]:
    """Figures of an imported run: values that its source recorded, labelled as such."""
    log: Any = run.log
    steps = tuple(run.steps)
    if log.empty:
        return [Text("Not shown: losses over training come from the log, and this run was imported without one.")]
    listed = f"as listed in {run.origin.source}: the source's own numbers, not computed here"
    figures: list[Block] = []
    for what, draw in (("loss", loss_figure), ("acc", accuracy_figure)):
        names = [f"{subset}_{what}" for subset in ("train", "test") if log[f"{subset}_{what}"].notna().any()]
        if not names or what == "loss" and not (log[names] > 0).to_numpy().any():
            continue
        rows = thinned(log.dropna(subset=names, how="all"))
        word = "Loss" if what == "loss" else "Accuracy"
        fig = draw(rows, steps[-1])
        figures.append(
            Figure(
                id=word.lower(),
                fig=fig,
                heading=f"{word} over training, as the source lists it",
                takeaway=said(*listed_claims(run, names)),
                source=f"Values {listed}; {len(log):,} rows of log.jsonl, of which {len(rows):,} are drawn.",
                alt=f"Line chart of {' and '.join(names)} against step, as the source lists them.",
                steps=steps,
                tracks=last_cursor(steps, fig),
            )
        )
    return figures or [Text(f"Not shown: none of the values can be drawn ({listed}).")]


def thinned(rows: Any) -> Any:
    """At most MAX_POINTS of the rows, spread evenly over row number and over its logarithm, with both ends."""
    n = len(rows)
    if n <= MAX_POINTS:
        return rows
    even = np.linspace(0, n - 1, MAX_POINTS // 2)
    indices = np.unique(np.concatenate([even, np.geomspace(1, n, MAX_POINTS // 2) - 1]).round().astype(int))
    return rows.iloc[indices]


def _text(run: Run, step: Any, row: Any, what: str) -> str:
    """The train and test values in the log at a snapshot's step, as a sentence."""
    form, word, unit = (".3g", "loss", " nats") if what == "loss" else (".1%", "accuracy", "")
    parts = [
        f"{name} {word} {row[f'{name}_{what}']:{form}}" for name in ("train", "test") if is_there(row[f"{name}_{what}"])
    ]
    return f"{at(run, step)}: {', '.join(parts)}{unit}." if parts else f"{at(run, step)} nothing was logged."
