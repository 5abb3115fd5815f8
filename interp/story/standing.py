"""How well the last snapshot answers: the precondition of most claims about a run."""

from dataclasses import dataclass
from typing import Any

import torch

from interp.html.numbers import percent
from interp.measures import measure_snapshot
from interp.parts.memo import part
from interp.runs.run import Run

from .claims import Claim, Said, is_there, said
from .transition import THRESHOLD

MEMORISED = 0.5
"""Test accuracy below which a model that answers its training rows has memorised them."""


END = "By the end of the run"


@dataclass(frozen=True)
class Standing:
    """Accuracies of the last snapshot (None where undefined), and the kind of model that they indicate.

    Attributes:
        kind: "generalises" (99% of the test rows; of all rows where the split is unknown), "between" (50% to 99% of the
            test rows, with 99% of the training rows), "memorises" (99% of the training rows, less than half of the test
            rows), "unfitted" (less than 99% of the training rows, or of all rows where the split is unknown),
            "unknown" (this kind of task has no such accuracy).
        train, test, every: accuracy over the training, the test and all rows.
        chance: accuracy of always giving the most frequent answer.
    """

    kind: str
    train: float | None
    test: float | None
    every: float | None
    chance: float

    @property
    def generalises(self) -> bool:
        """Whether the model generalises, so that there is a circuit to explain."""
        return self.kind == "generalises"

    @property
    def answers(self) -> str:
        """The accuracy as a predicate: "answers 3.1% of the test rows (chance: 0.9%)"."""
        name, value = ("the test", self.test) if self.test is not None else ("all", self.every)
        if value is None:
            return "has no known accuracy"
        return f"answers {percent(value)} of {name} rows (chance: {percent(self.chance)})"

    @property
    def numbers(self) -> dict[str, float]:
        """The accuracies that are defined, and chance."""
        values = {"train_acc": self.train, "test_acc": self.test, "all_acc": self.every, "chance": self.chance}
        return {name: value for name, value in values.items() if value is not None}


@part
def standing_of(run: Run) -> Standing:
    """Accuracies of the last snapshot, from its weights rather than from the log."""
    values = measure_snapshot(run.last, ("train_acc", "test_acc", "all_acc"))
    train, test, every = (values[name] if is_there(values[name]) else None for name in values)
    answers = run.task.labels[run.task.rows("all")]
    counts = torch.unique(answers, dim=0, return_counts=True)[1]
    return Standing(_kind(train, test, every), train, test, every, int(counts.max()) / len(answers))


def _kind(train: float | None, test: float | None, every: float | None) -> str:
    if test is not None and test >= THRESHOLD or test is None and every is not None and every >= THRESHOLD:
        return "generalises"
    if every is None:
        return "unknown"
    if train is None or test is None or train < THRESHOLD:
        return "unfitted"
    return "memorises" if test < MEMORISED else "between"


def at(run: Run, step: int) -> str:
    """ "At step 10", or "At the imported snapshot" for an import whose step is unknown."""
    return f"At step {step:,}" if run.origin.knows("step") else "At the imported snapshot"


def at_end(run: Run) -> str:
    """ "By the end of the run", or "In the only snapshot"."""
    return END if len(run.steps) > 1 else "In the only snapshot"


def over_run(run: Run, *parts: Claim | str | None) -> Said:
    """Claims about the whole run, which do not follow the slider and say so; for a single snapshot as they are."""
    whole = said(*parts)
    is_said = not whole or whole.startswith(END) or len(run.steps) == 1
    return whole if is_said else Said(f"Over the whole run: {whole}", whole.claims)


def drawn_at(count: int) -> str:
    """The number of snapshots that a figure shows, for the figure's source line."""
    return "One snapshot." if count == 1 else f"{count} snapshots, concentrated where loss and accuracies changed."


def untrained_step(run: Run) -> int | None:
    """The step of the untrained snapshot; None if the run has no such snapshot, or no other."""
    return 0 if run.steps[0] == 0 and len(run.steps) > 1 and run.origin.knows("step") else None


def memorising_step(run: Run) -> int | None:
    """The first snapshot with 99% train accuracy in the log, if its test accuracy is below one half."""
    rows = run.evaluations
    if len(run.steps) < 2 or rows.empty:
        return None
    at_snapshots: Any = rows[rows["step"].isin(run.steps)]
    fitted = at_snapshots[at_snapshots["train_acc"] >= THRESHOLD].dropna(subset=["test_acc"])
    if fitted.empty or fitted.iloc[0]["test_acc"] >= MEMORISED:
        return None
    return int(fitted.iloc[0]["step"])
