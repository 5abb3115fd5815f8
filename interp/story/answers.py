"""The operation's table, answered: the state of every cell at a snapshot, and its words."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from interp.figures.grids import STATES, WITHOUT_SPLIT
from interp.html.blocks import Link
from interp.parts.rows import table_of
from interp.runs.run import Run
from train.tasks.task import Task

from .over_training import progress_of
from .standing import at


def states_of(task: Task, right: np.ndarray) -> np.ndarray:
    """Index of each row's state in ``STATES``, or in ``WITHOUT_SPLIT`` where the split is unknown, uint8.

    Args:
        task: whose rows they are.
        right: [..., rows], bool: whether a row is answered right.
    """
    state = right.astype(np.uint8)
    if task.is_train is not None:
        state = state + 2 * task.is_train.numpy().astype(np.uint8)
    return np.where(task.is_defined.numpy(), state, np.uint8(STATES.index("undefined")))


def cell_states(run: Run, steps: Sequence[int]) -> np.ndarray:
    """States [n_steps, rows] of the table's cells at some of the run's steps, uint8."""
    places = {step: i for i, step in enumerate(run.steps)}
    return states_of(run.task, progress_of(run).right[[places[step] for step in steps]])


def cell_frame(run: Run, states: np.ndarray) -> pd.DataFrame:
    """One row a cell: columns a, b, state."""
    n = table_of(run).n
    return pd.DataFrame({"a": np.repeat(range(n), n), "b": list(range(n)) * n, "state": states})


def counts_of(states: np.ndarray, has_split: bool) -> dict[str, int]:
    """Number of cells in each state, by the state's name; absent states count 0."""
    names = dict(enumerate(STATES)) if has_split else WITHOUT_SPLIT
    return {name: int((states == i).sum()) for i, name in names.items()}


def cells_text(run: Run, step: int, counts: Mapping[str, int]) -> str:
    """How many cells are right at a step, as a sentence."""
    kinds = {"train, ": "training cells", "test, ": "test cells"} if "train, right" in counts else {"": "cells"}
    parts = []
    for name, cells in kinds.items():
        right, wrong = counts[f"{name}right"], counts[f"{name}wrong"]
        if right + wrong:
            parts.append(f"{right:,} of {right + wrong:,} {cells}")
    return f"{at(run, step)} {' and '.join(parts)} are right."


def table_links(trace: int) -> tuple[Link, ...]:
    """Links of an image of the table, a down and b to the right, to operands and to tokens."""
    return (Link(trace, "a", "y"), Link(trace, "b", "x"), Link(trace, "token", "y"), Link(trace, "token", "x"))
