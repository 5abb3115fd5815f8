"""Loss and accuracy over training."""

from typing import Any

import numpy as np

from ..figures.curves import accuracy_figure, loss_figure
from ..figures.style import on_log_axis
from ..html import Block, Figure, Text, Track
from ..runs import Run
from .overview import crossings

SOURCE = (
    "Losses: mean cross-entropy in nats, log-softmax in float64 "
    "([Nanda et al. 2023](https://arxiv.org/abs/2301.05217)); a row counts as right if the answer has "
    "the largest logit. Data: log.jsonl, the rows with a test evaluation."
)


def build(run: Run) -> list[Block]:
    """Two figures with a cursor at the step."""
    rows = run.evaluations
    if rows.empty:
        came = "this run was imported without one" if run.origin.kind == "imported" else "nothing was evaluated yet"
        return [Text(f"Not shown: losses over training come from the log, and {came}.")]
    steps, last = tuple(run.steps), rows.iloc[-1]
    at = rows.set_index("step").reindex(list(steps))
    peak = rows.loc[rows["test_loss"].idxmax()]
    loss = Figure(
        fig=loss_figure(rows, steps[-1]),
        heading="Loss over training",
        takeaway=(
            f"Test loss peaks at {peak['test_loss']:.3g} nats at step {int(peak['step']):,} and ends at "
            f"{last['test_loss']:.3g}; train loss ends at {last['train_loss']:.3g}."
        ),
        source=SOURCE,
        alt="Line chart of train and test loss against step, both axes logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_loss_text(step, row) for step, row in at.iterrows()),
    )
    accuracy = Figure(
        fig=accuracy_figure(rows, steps[-1]),
        heading="Accuracy over training",
        takeaway=_accuracy_takeaway(run),
        source=SOURCE,
        alt="Line chart of train and test accuracy against step, step axis logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_accuracy_text(step, row) for step, row in at.iterrows()),
    )
    return [loss, accuracy]


def last_cursor(steps: tuple[int, ...], fig: Any) -> tuple[Track]:
    """The tracks of a figure whose last trace is the cursor, and which changes in nothing else."""
    return (cursor_track(steps, trace=len(fig.data) - 1),)


def cursor_track(steps: tuple[int, ...], trace: int) -> Track:
    """The cursor's x at each step."""
    return Track(trace, "x", np.array([on_log_axis([step, step]) for step in steps]))


def _accuracy_takeaway(run: Run) -> str:
    cross = crossings(run)
    if cross["delay"] is not None:
        return (
            f"99% of the training rows are right at step {cross['train']:,}, 99% of the test rows at step "
            f"{cross['test']:,}: a delay of {cross['delay']:,} steps."
        )
    last = run.evaluations.iloc[-1]
    return (
        f"Train accuracy ends at {last['train_acc']:.1%}, test accuracy at {last['test_acc']:.1%}; "
        "99% on both was not reached."
    )


def _loss_text(step: Any, row: Any) -> str:
    return f"At step {step:,}: train loss {row['train_loss']:.3g}, test loss {row['test_loss']:.3g} nats."


def _accuracy_text(step: Any, row: Any) -> str:
    return f"At step {step:,}: train accuracy {row['train_acc']:.1%}, test accuracy {row['test_acc']:.1%}."
