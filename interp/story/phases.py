"""The phases of a run: from its start to 99 % train accuracy, from there to 99 % test accuracy for good, and after."""

from interp.html.blocks import Phase
from interp.runs.run import Run

from .standing import MEMORISED
from .transition import crossings, logged


def phases(run: Run) -> tuple[Phase, ...]:
    """Stretches of steps that follow one another from the first to the last snapshot.

    Empty where the log holds no evaluations, for a single snapshot, and where the step is unknown. The names:

    - "memorising": up to 99 % train accuracy, where less than half of the test rows are answered then; else "learning".
    - "between": from there up to the step from which test accuracy stays at 99 %.
    - "understood": from there on; "memorised" where test accuracy never reached 99 %, "unsteady" where it did not stay.
    - "learning": all of a run that reached neither, or up to "understood" where test accuracy was there first.
    """
    if run.evaluations.empty or len(run.steps) < 2 or not run.origin.knows("step"):
        return ()
    marks, at = _marks(run), run.steps[0]
    found = []
    for name, until in marks:
        until = min(until, run.steps[-1])
        if until > at:
            found.append(Phase(name, at, until))
            at = until
    return tuple(found)


def _marks(run: Run) -> list[tuple[str, int]]:
    """Names of the phases with the step at which each ends."""
    at, end = crossings(run), run.steps[-1]
    train, test, stable = at["train"], at["test"], at["test_stable"]
    if train is None or (stable is not None and stable <= train):
        return [("learning", end)] if stable is None else [("learning", stable), ("understood", end)]
    first = ("memorising" if _knows_by_heart(run, train) else "learning", train)
    if test is None:
        return [first, ("memorised" if first[0] == "memorising" else "between", end)]
    if stable is None:
        return [first, ("between", test), ("unsteady", end)]
    return [first, ("between", stable), ("understood", end)]


def _knows_by_heart(run: Run, step: int) -> bool:
    """Whether less than half of the test rows are answered right at a step of the log."""
    return logged(run, "test_acc").get(step, 1.0) < MEMORISED
