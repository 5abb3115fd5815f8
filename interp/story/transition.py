"""The evaluations between which a run learned its training and its test rows."""

from typing import Any

from interp.html.numbers import percent
from interp.runs.run import Run
from train.curves import Bracket, bracket, delay, first_crossing, stable_crossing

THRESHOLD = 0.99
"""Accuracy that counts as learned."""
LEARNED = percent(THRESHOLD, 0)


def accuracies(run: Run, subset: str) -> tuple[list[int], list[float]]:
    """Steps and values of the logged accuracies of "train" or "test"."""
    rows = run.evaluations.dropna(subset=[f"{subset}_acc"])
    return rows["step"].tolist(), rows[f"{subset}_acc"].tolist()


def crossings(run: Run) -> dict[str, int | None]:
    """Steps at which train and test accuracy first reach 99% and from which test accuracy stays; the delay in steps."""
    train, test = (
        first_crossing(*accuracies(run, "train"), THRESHOLD),
        first_crossing(*accuracies(run, "test"), THRESHOLD),
    )
    stable = stable_crossing(*accuracies(run, "test"), THRESHOLD)
    return {"train": train, "test": test, "test_stable": stable, "delay": delay(train, test)}


def brackets(run: Run) -> dict[str, Bracket | None]:
    """The evaluations on either side of "train", "test" and "test_stable"; None where 99% was not reached."""
    at, curves = crossings(run), {"train": "train", "test": "test", "test_stable": "test"}
    return {name: bracket(accuracies(run, subset)[0], at[name]) for name, subset in curves.items()}


def transition(run: Run) -> tuple[int, int] | None:
    """Steps at which train accuracy and later test accuracy first reach 99%; None unless they do so in this order."""
    at = crossings(run)
    if at["train"] is None or at["test"] is None or at["test"] <= at["train"]:
        return None
    return at["train"], at["test"]


def logged(run: Run, column: str) -> dict[int, float]:
    """Values of a column of the log by step, without missing ones."""
    rows: Any = run.evaluations.dropna(subset=[column])
    return {int(step): float(value) for step, value in zip(rows["step"], rows[column], strict=True)}
