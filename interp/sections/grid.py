"""Which entries of the operation's table are answered right, at a few steps over the transition."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import Tensor

from ..figures.grids import STATES, answers_figure
from ..html import Block, Figure, Text, Track
from ..keysteps import key_steps
from ..runs import Run, Snapshot

KEY_STEPS = 12


def build(run: Run) -> list[Block]:
    """One figure: the n x n table, right and wrong, with the training cells marked where they are known."""
    table, has_split = run.task.table, run.task.is_train is not None
    if table is None:
        return [Text("Not shown: this task has no all-pairs table.")]
    steps = tuple(key_steps(run.evaluations, run.steps, KEY_STEPS))
    states = np.stack([answer_states(run[step]).numpy() for step in steps])
    grids = states.reshape(len(steps), table.n, table.n)
    frame = pd.DataFrame(
        {"a": np.repeat(range(table.n), table.n), "b": list(range(table.n)) * table.n, "state": states[-1]}
    )
    texts = tuple(_text(step, state, has_split) for step, state in zip(steps, states, strict=True))
    undefined = int((states[-1] == STATES.index("undefined")).sum())
    note = f"; {undefined:,} entries are undefined" if undefined else ""
    marked = "The training cells are darker" if has_split else "Which cells were trained on is unknown"
    return [
        Figure(
            fig=answers_figure(frame, has_split),
            heading=f"Right answers in the table of {run.config.task.operation.symbol}",
            takeaway=f"{texts[-1]} {marked}{note}.",
            source="A cell is right if the answer has the largest logit. "
            f"Drawn at {len(steps)} snapshots spread over the transition.",
            alt=f"Image of the {table.n} by {table.n} table; each cell says "
            f"{'whether the pair was trained on and ' if has_split else ''}whether it is answered right.",
            steps=steps,
            tracks=(Track(0, "z", grids),),
            texts=texts,
        )
    ]


def answer_states(snap: Snapshot) -> Int[Tensor, " rows"]:
    """For each row, the index into ``STATES``; of an unknown split, into ``WITHOUT_SPLIT``."""
    task = snap.task
    right = snap.logits.argmax(-1) == task.labels[:, 0]
    state = right.long()
    if task.is_train is not None:
        state = state + 2 * task.is_train.long()
    return state.masked_fill(~task.is_defined, STATES.index("undefined"))


def _text(step: int, states: np.ndarray, has_split: bool) -> str:
    if not has_split:
        right, wrong = int((states == 1).sum()), int((states == 0).sum())
        return f"At step {step:,}: {right:,} of {right + wrong:,} cells are right."
    counts = {name: int((states == i).sum()) for i, name in enumerate(STATES)}
    n_train = counts["train, right"] + counts["train, wrong"]
    n_test = counts["test, right"] + counts["test, wrong"]
    return (
        f"At step {step:,}: {counts['train, right']:,} of {n_train:,} training cells and "
        f"{counts['test, right']:,} of {n_test:,} test cells are right."
    )
