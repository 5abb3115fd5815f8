"""The entries of the operation's table that are answered right, at a few snapshots."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import Tensor

from interp.figures.grids import STATES, WITHOUT_SPLIT, answers_figure
from interp.html.blocks import Block, Figure, Text
from interp.html.tracks import Track
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from interp.story.behaviour import grid_claim
from interp.story.claims import said
from interp.story.keysteps import key_steps
from interp.story.standing import at, drawn_at
from train.tasks.task import NO_TABLE

KEY_STEPS = 12
"""Largest number of snapshots shown."""
FIGURES = {"answers": "right and wrong answers in the table of all pairs"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure: the n x n table with right and wrong cells, and the training cells marked if they are known."""
    table, has_split = run.task.table, run.task.is_train is not None
    if table is None:
        return [Text(f"Not shown: {NO_TABLE}.")]
    steps = tuple(key_steps(run.evaluations, run.steps, KEY_STEPS))
    states = np.stack([answer_states(run[step]).numpy() for step in steps])
    grids = np.stack([run.task.as_grid(state) for state in states])
    frame = pd.DataFrame(
        {"a": np.repeat(range(table.n), table.n), "b": list(range(table.n)) * table.n, "state": states[-1]}
    )
    texts = tuple(_text(run, step, state, has_split) for step, state in zip(steps, states, strict=True))
    undefined = int((states[-1] == STATES.index("undefined")).sum())
    note = f"; {undefined:,} entries are undefined" if undefined else ""
    marked = "Training cells are darker" if has_split else "Which cells were trained on is unknown"
    return [
        Figure(
            id="answers",
            fig=answers_figure(frame, has_split),
            heading=f"Right answers in the table of {run.config.task.operation.symbol}",
            takeaway=said(grid_claim(run, _counts(states[-1], has_split), texts[-1]), f"{marked}{note}."),
            source=f"A cell is right if the answer has the largest logit. {drawn_at(len(steps))}",
            alt=f"Image of the {table.n} by {table.n} table; each cell says "
            f"{'whether the pair was trained on and ' if has_split else ''}whether it is answered right.",
            steps=steps,
            tracks=(Track(0, "z", grids),),
            texts=texts,
        )
    ]


def answer_states(snap: Snapshot) -> Int[Tensor, " rows"]:
    """Index of each row's state in ``STATES``, or in ``WITHOUT_SPLIT`` where the split is unknown."""
    task = snap.task
    right = snap.logits.argmax(-1) == task.labels[:, 0]
    state = right.long()
    if task.is_train is not None:
        state = state + 2 * task.is_train.long()
    return state.masked_fill(~task.is_defined, STATES.index("undefined"))


def _counts(states: np.ndarray, has_split: bool) -> dict[str, int]:
    """Number of cells in each state, by the state's name; absent states count 0."""
    names = dict(enumerate(STATES)) if has_split else WITHOUT_SPLIT
    return {name: int((states == i).sum()) for i, name in names.items()}


def _text(run: Run, step: int, states: np.ndarray, has_split: bool) -> str:
    counts, parts = _counts(states, has_split), []
    for name in ("train, ", "test, ") if has_split else ("",):
        right, wrong = counts[f"{name}right"], counts[f"{name}wrong"]
        cells = {"train, ": "training cells", "test, ": "test cells", "": "cells"}[name]
        if right + wrong:
            parts.append(f"{right:,} of {right + wrong:,} {cells}")
    return f"{at(run, step)}: {' and '.join(parts)} are right."
