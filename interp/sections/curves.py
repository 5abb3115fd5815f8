"""Loss and accuracy over training."""

from typing import Any

import numpy as np

from ..figures.curves import accuracy_figure, loss_figure
from ..figures.style import on_log_axis
from ..html import Block, Figure, Text, Track
from ..runs import Run
from ..story.claims import is_there, said
from ..story.outcome import accuracy_claims, loss_claims
from ..story.standing import at

SOURCE = (
    "Losses: mean cross-entropy in nats, log-softmax in float64 "
    "([Nanda et al. 2023](https://arxiv.org/abs/2301.05217)); a row counts as right if the answer has "
    "the largest logit. Data: log.jsonl, the rows with a test evaluation."
)
IMPORTED = "As logged by the source of this import, not by this package; nothing here says over which rows or how."


def build(run: Run) -> list[Block]:
    """Two figures with a cursor at the step; the accuracies only where they were logged."""
    rows = run.evaluations
    if rows.empty:
        return [Text(_why_not(run))]
    steps = tuple(run.steps)
    logged = rows.set_index("step").reindex(list(steps))
    source = SOURCE if run.origin.kind == "trained" else IMPORTED
    loss = Figure(
        fig=loss_figure(rows, steps[-1]),
        heading="Loss over training",
        takeaway=said(*loss_claims(run)),
        source=source,
        alt="Line chart of train and test loss against step, both axes logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "loss") for step, row in logged.iterrows()),
    )
    if bool(rows[["train_acc", "test_acc"]].isna().to_numpy().all()):
        return [loss, Text("Accuracies over training are not shown: the log has none.")]
    accuracy = Figure(
        fig=accuracy_figure(rows, steps[-1]),
        heading="Accuracy over training",
        takeaway=said(*accuracy_claims(run)),
        source=source,
        alt="Line chart of train and test accuracy against step, step axis logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "acc") for step, row in logged.iterrows()),
    )
    return [loss, accuracy]


def _why_not(run: Run) -> str:
    if len(run.log):
        return "Not shown: the log has no row with a test loss."
    came = "this run was imported without one" if run.origin.kind == "imported" else "nothing was evaluated yet"
    return f"Not shown: losses over training come from the log, and {came}."


def last_cursor(steps: tuple[int, ...], fig: Any) -> tuple[Track]:
    """The tracks of a figure whose last trace is the cursor, and which changes in nothing else."""
    return (cursor_track(steps, trace=len(fig.data) - 1),)


def cursor_track(steps: tuple[int, ...], trace: int) -> Track:
    """The cursor's x at each step."""
    return Track(trace, "x", np.array([on_log_axis([step, step]) for step in steps]))


def _text(run: Run, step: Any, row: Any, what: str) -> str:
    """Both values of the log at a snapshot's step, where they are."""
    form, word, unit = (".3g", "loss", " nats") if what == "loss" else (".1%", "accuracy", "")
    parts = [
        f"{name} {word} {row[f'{name}_{what}']:{form}}" for name in ("train", "test") if is_there(row[f"{name}_{what}"])
    ]
    return f"{at(run, step)}: {', '.join(parts)}{unit}." if parts else f"{at(run, step)} nothing was logged."
