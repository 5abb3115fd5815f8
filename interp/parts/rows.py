"""Parts of a run: its table, the cycle and the law of its operation, and the rows of a subset."""

from typing import TypeVar

from jaxtyping import Int64
from torch import Tensor

from interp.runs.run import Run
from train.tasks.task import NO_TABLE, Table

from .memo import NotApplicable, Unavailable, part
from .structure import Cycle, Law, find_cycle, find_law

Structure = TypeVar("Structure", Cycle, Law)


@part
def table_of(run: Run) -> Table:
    """The table of the run's operation, which ``Task.as_grid`` and ``Task.operand_position`` need.

    Raises:
        NotApplicable: the task has no table of all pairs.
    """
    if run.task.table is None:
        raise NotApplicable(NO_TABLE)
    return run.task.table


@part
def cycle_of(run: Run) -> Cycle:
    """The cycle of the run's elements.

    Raises:
        NotApplicable: the elements form no cycle.
    """
    return _available(find_cycle(run.task))


@part
def law_of(run: Run) -> Law:
    """The law of the run's operation.

    Raises:
        NotApplicable: the answers are no sum or difference along a cycle.
    """
    return _available(find_law(run.task))


def _available(structure: Structure | Unavailable) -> Structure:
    if isinstance(structure, Unavailable):
        raise NotApplicable(structure.reason)
    return structure


def has_law(run: Run) -> bool:
    """Whether the run's operation has a law, so that ``law_of`` does not raise."""
    try:
        law_of(run)
    except NotApplicable:
        return False
    return True


@part
def rows_of(run: Run, subset: str) -> Int64[Tensor, " chosen"]:
    """Rows of "train", "test" or "all" whose answers are defined.

    Raises:
        NotApplicable: the split is unknown, or the subset is empty.
    """
    task = run.task
    if subset != "all" and task.is_train is None:
        raise NotApplicable("the split into training and test rows is unknown")
    rows = task.rows(subset)
    if not len(rows):
        raise NotApplicable(f"there are no {subset} rows")
    return rows
