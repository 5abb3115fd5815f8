"""Parts of a run: its table, the cycle and the law of its operation, and the rows to measure over."""

from typing import TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from interp.runs.run import Run
from train.tasks.task import NO_TABLE, Table

from .memo import NotApplicable, Unavailable, part
from .structure import Cycle, Law, find_cycle, find_law

Found = TypeVar("Found")


@part
def table_of(run: Run) -> Table:
    """The table of the run's operation: asked for before ``Task.as_grid`` or ``Task.operand_position``."""
    if run.task.table is None:
        raise NotApplicable(NO_TABLE)
    return run.task.table


@part
def cycle_of(run: Run) -> Cycle:
    """The cycle of the run's elements."""
    return _available(find_cycle(run.task))


@part
def law_of(run: Run) -> Law:
    """The law of the run's operation."""
    return _available(find_law(run.task))


def _available(found: Found | Unavailable) -> Found:
    if isinstance(found, Unavailable):
        raise NotApplicable(found.reason)
    return found


def has_law(run: Run) -> bool:
    """Whether the operation has one."""
    try:
        law_of(run)
    except NotApplicable:
        return False
    return True


@part
def line_of(run: Run) -> Int64[Tensor, " rows"]:
    """The line of each row by its answer, -1 for rows outside the law's cycle."""
    law = law_of(run)
    line = torch.full((len(run.task.labels),), -1)
    line[law.by_answer.flatten()] = torch.arange(law.n).repeat_interleave(law.n)
    return line


@part
def rows_of(run: Run, subset: str) -> Int64[Tensor, " chosen"]:
    """Defined rows of "train", "test" or "all"."""
    task = run.task
    if subset != "all" and task.is_train is None:
        raise NotApplicable("the split into training and test rows is unknown")
    rows = task.rows(subset)
    if not len(rows):
        raise NotApplicable(f"there are no {subset} rows")
    return rows


@part
def law_rows(run: Run, subset: str) -> Int64[Tensor, " chosen"]:
    """Defined rows of "train", "test" or "all" whose pair lies on the law's cycle."""
    rows = rows_of(run, subset)
    rows = rows[line_of(run)[rows] >= 0]
    if not len(rows):
        raise NotApplicable(f"no {subset} row lies on the cycle")
    return rows
