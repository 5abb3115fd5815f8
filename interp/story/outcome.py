"""The outcome of a run: whether it fitted its training rows, whether it grokked, and how far training got."""

from collections.abc import Callable
from typing import Any

from interp.html.numbers import number, percent
from interp.runs.run import Run
from train.curves import delay_range

from .claims import Claim, changed, is_there
from .standing import at, standing_of
from .transition import LEARNED, brackets, crossings, logged


def unfinished_claim(run: Run) -> Claim | None:
    """How far an unfinished run has come; None for a finished one and without evaluations."""
    if run.is_done or run.evaluations.empty:
        return None
    last, asked = int(run.evaluations["step"].iloc[-1]), run.config.schedule.steps
    text = f"The run is **not finished**: it has reached step {last:,} of {asked:,}."
    return Claim("outcome.unfinished", text, {"step": last, "asked": asked})


def _fitted(run: Run) -> Claim | None:
    """When train accuracy reached 99%, or that it never did; None if it was not logged."""
    crossing, train = brackets(run)["train"], logged(run, "train_acc")
    if not train:
        return None
    last = max(train)
    if crossing is None:
        value = percent(train[last])
        text = f"Up to step {last:,} the model did not fit its training rows: train accuracy is {value}."
        numbers = {"step": last, "train_acc": train[last], "chance": _chance(run)}
        return Claim("outcome.not_fitted", text, numbers, "chance")
    numbers = {"at": crossing.at} | ({} if crossing.below is None else {"below": crossing.below})
    return Claim("outcome.fitted", f"Train accuracy reached {LEARNED} {crossing}.", numbers)


def _grokked(run: Run) -> list[Claim]:
    """When test accuracy reached 99 %, how much later than train accuracy, and whether it stayed; it did reach it."""
    at_99, test = brackets(run), logged(run, "test_acc")
    if not test:
        return []
    last, first = max(test), at_99["test"]
    assert first is not None
    numbers = {"step": last, "test_acc": test[last], "chance": _chance(run)}
    gap = delay_range(at_99["train"], first)
    text = f"Test accuracy reached {LEARNED} {first}"
    numbers |= {"at": first.at} | ({} if first.below is None else {"below": first.below})
    if gap is not None and gap[0] >= 0:
        text += f", {gap[0]:,} to {gap[1]:,} steps later" if gap[0] else f", at most {gap[1]:,} steps later"
        numbers |= {"delay_least": gap[0], "delay_most": gap[1]}
    elif at_99["train"] == first:
        text += ", in the same interval as train accuracy"
    claims = [Claim("outcome.grokked", f"{text}.", numbers, "99% accuracy")]
    if at_99["test_stable"] is None:
        text = f"It did not stay there: test accuracy is {percent(test[last])} at step {last:,}."
        claims.append(Claim("outcome.not_stable", text, {"step": last, "test_acc": test[last]}, "99% accuracy"))
    return claims


def _chance(run: Run) -> float:
    return standing_of(run).chance


def import_claims(run: Run) -> list[Claim]:
    """Claims about a model that was trained elsewhere: its source, and what is unknown."""
    origin = run.origin
    log = "the losses over training are those that the source recorded" if len(run.log) else "it came without a log"
    text = (
        f"**Imported** from `{origin.source}` ({origin.layout} layout, SHA-256 `{origin.sha256}`): it was not trained "
        f"here, and {log}."
    )
    claims = [Claim("outcome.imported", text, {"snapshots": len(run.steps)})]
    if not origin.knows("step"):
        claims.append(
            Claim("outcome.step_unknown", "The number of updates is unknown: the snapshot is stored as step 0.")
        )
    if run.task.is_train is None:
        claims.append(Claim("outcome.split_unknown", "It is unknown which rows the model was trained on."))
    return claims + [
        Claim(f"outcome.note_{i}", f"{note[:1].upper()}{note[1:]}.") for i, note in enumerate(origin.notes, start=1)
    ]


def score_claims(run: Run) -> list[Claim]:
    """Loss and accuracy of the last snapshot, computed from its weights."""
    numbers, parts = {"chance": _chance(run)}, []
    for name in subsets(run):
        loss, accuracy = run.last.loss(name), run.last.accuracy(name)
        if is_there(loss):
            numbers |= {f"{name}_loss": loss, f"{name}_acc": accuracy}
            parts.append(f"{LOSSES[name]} {nats(loss)}, accuracy {percent(accuracy, 2)}")
    text = f"{at(run, run.last.step)}: {'; '.join(parts)} (chance: {percent(_chance(run))})."
    return [Claim("outcome.scores", text, numbers, "chance")] if parts else []


LOSSES = {"train": "train loss", "test": "test loss", "all": "loss over all pairs"}


def subsets(run: Run) -> tuple[str, ...]:
    """Subsets to report losses over: those of train and test that have rows; "all" if the split is unknown."""
    if run.task.is_train is None:
        return ("all",)
    return tuple(name for name in ("train", "test") if len(run.task.rows(name)))


# ---- loss and accuracy curves ----------------------------------------------------------------------


def loss_claims(run: Run) -> list[Claim]:
    """The peak of the test loss, if it was neither at the first nor at the last evaluation, and the last losses."""
    train, test = logged(run, "train_loss"), logged(run, "test_loss")
    claims = []
    if not test:
        return [claim for claim in (_curve("curves.train_loss", "Train loss", train, nats),) if claim is not None]
    peak, last = max(test, key=lambda step: test[step]), max(test)
    if min(test) < peak < last and test[peak] > 1.01 * test[last]:
        text = f"Test loss peaks at {nats(test[peak])} at step {peak:,} and is {number(test[last])} at step {last:,}."
        numbers = {"peak": test[peak], "peak_step": peak, "last": test[last], "last_step": last}
        claims.append(Claim("curves.test_loss_peak", text, numbers, "the last evaluation"))
    else:
        claims.append(_curve("curves.test_loss", "Test loss", test, nats))
    claims.append(_curve("curves.train_loss", "Train loss", train, nats))
    return [claim for claim in claims if claim is not None]


def opening_curve_claim(run: Run, rows: Any) -> Claim | None:
    """One sentence on the curves of the first screen; columns step and some of train_loss, test_loss and all_loss."""
    if run.origin.kind == "trained" and not run.evaluations.empty:
        return next(iter(loss_claims(run)), None)
    name = next(name for name in ("test_loss", "train_loss", "all_loss") if name in rows)
    pairs = {"test_loss": "test pairs", "train_loss": "training pairs", "all_loss": "all pairs"}[name]
    steps, values = rows["step"].tolist(), rows[name].tolist()
    return changed(f"story.{name}", f"the loss over the {pairs}", steps, values, nats, "", run.origin.knows("step"))


def accuracy_claims(run: Run) -> list[Claim]:
    """When train and test accuracy reached 99%; an accuracy that did not is described by its first and last value."""
    if crossings(run)["test"] is not None:
        return [claim for claim in (_fitted(run), *_grokked(run)) if claim is not None]
    claims = [_fitted(run), _curve("curves.test_acc", "Test accuracy", logged(run, "test_acc"), percent)]
    return [claim for claim in claims if claim is not None]


def listed_claims(run: Run, names: list[str]) -> list[Claim]:
    """First and last values of the columns ``names`` of the log that an import's source recorded."""
    claims = []
    for name in names:
        rows: Any = run.log[["step", name]].dropna()
        subject = f"The source's {name.replace('_', ' ').replace('acc', 'accuracy')}"
        form = percent if "acc" in name else nats
        steps, values = rows["step"].tolist(), rows[name].tolist()
        claims.append(changed(f"curves.listed_{name}", subject, steps, values, form))
    return [claim for claim in claims if claim is not None]


def _curve(id: str, what: str, curve: dict[int, float], form: Callable[[float], str]) -> Claim | None:
    return changed(id, what, list(curve), list(curve.values()), form)


def nats(loss: float) -> str:
    """A loss with its unit."""
    return f"{number(loss)} nats"
