"""What became of a run: whether it fitted its training rows, whether it grokked, and how far it has got."""

import pandas as pd

from train.curves import delay_range

from ..runs import Run
from .claims import Claim, changed, is_there
from .standing import at, standing_of
from .transition import brackets, crossings, logged


def outcome_claims(run: Run) -> list[Claim]:
    """The overview's sentences, in reading order; the verdict on the circuit is ``verdict.verdict_claim``."""
    if run.origin.kind == "imported":
        return _imported(run)
    rows = run.evaluations
    if rows.empty:
        return [Claim("outcome.not_evaluated", "Nothing was evaluated yet.")]
    found = [_fitted(run), *_grokked(run)]
    if not run.is_done:
        last, asked = int(rows["step"].iloc[-1]), run.config.schedule.steps
        text = f"The run is **not finished**: it stands at step {last:,} of {asked:,}."
        found.append(Claim("outcome.unfinished", text, {"step": last, "asked": asked}))
    return [claim for claim in found if claim is not None]


def _fitted(run: Run) -> Claim | None:
    found, train = brackets(run)["train"], logged(run, "train_acc")
    if train.empty:
        return None
    last = int(train.index[-1])
    if found is None:
        text = f"Up to step {last:,} the model **did not fit its training rows**: train accuracy is {train[last]:.1%}."
        return Claim(
            "outcome.not_fitted", text, {"step": last, "train_acc": train[last], "chance": _chance(run)}, "chance"
        )
    numbers = {"at": found.at} | ({} if found.below is None else {"below": found.below})
    return Claim("outcome.fitted", f"Train accuracy reached 99% {found}.", numbers)


def _grokked(run: Run) -> list[Claim]:
    """Whether test accuracy came to 99%, how much later, and whether it stayed."""
    at_99, test = brackets(run), logged(run, "test_acc")
    if test.empty:
        return []
    last, first = int(test.index[-1]), at_99["test"]
    numbers = {"step": last, "test_acc": float(test[last]), "chance": _chance(run)}
    if first is None and at_99["train"] is None:
        text = f"Test accuracy is {test[last]:.1%} at step {last:,} (chance: {_chance(run):.1%})."
        return [Claim("outcome.test_acc", text, numbers, "chance")]
    if first is None:
        text = f"By step {last:,} the model **did not grok**: test accuracy is {test[last]:.1%} (chance: {_chance(run):.1%})."
        return [Claim("outcome.not_grokked", text, numbers, "chance")]
    gap = delay_range(at_99["train"], first)
    text = f"Test accuracy reached 99% **{first}**"
    numbers |= {"at": first.at} | ({} if first.below is None else {"below": first.below})
    if gap is not None and gap[0] >= 0:
        text += f", {gap[0]:,} to {gap[1]:,} steps later" if gap[0] else f", at most {gap[1]:,} steps later"
        numbers |= {"delay_least": gap[0], "delay_most": gap[1]}
    elif at_99["train"] == first:
        text += ", the same interval"
    found = [Claim("outcome.grokked", f"{text}.", numbers, "99% accuracy")]
    if at_99["test_stable"] is None:
        text = f"It did **not stay** there: test accuracy is {test[last]:.1%} at step {last:,}."
        found.append(Claim("outcome.not_stable", text, {"step": last, "test_acc": float(test[last])}, "99% accuracy"))
    return found


def _chance(run: Run) -> float:
    return standing_of(run).chance


def _imported(run: Run) -> list[Claim]:
    """Of a model that was trained elsewhere: how well it answers at its last snapshot, and what is not known."""
    snap, origin, standing = run.last, run.origin, standing_of(run)
    log = (
        "the losses over training are its source's own log"
        if len(run.evaluations)
        else "there is no log of its training"
    )
    text = (
        f"**Imported** from `{origin.source}` ({origin.layout} layout, SHA-256 `{origin.sha256}`): it was not trained "
        f"here, and {log}."
    )
    found = [Claim("outcome.imported", text, {"snapshots": len(run.steps)})]
    numbers, parts = {"chance": standing.chance}, []
    for name in subsets(run):
        loss, accuracy = snap.loss(name), snap.accuracy(name)
        if is_there(loss):
            numbers |= {f"{name}_loss": loss, f"{name}_acc": accuracy}
            parts.append(f"{name} loss {loss:.3g} nats, accuracy {accuracy:.2%}")
    if parts:
        text = f"{at(run, snap.step)}: {'; '.join(parts)} (chance: {standing.chance:.1%})."
        found.append(Claim("outcome.scores", text, numbers, "chance"))
    if not origin.knows("step"):
        found.append(Claim("outcome.step_unknown", "How many updates were done is unknown: step 0 stands for it."))
    if run.task.is_train is None:
        found.append(Claim("outcome.split_unknown", "Which rows were trained on is unknown."))
    return found + [
        Claim(f"outcome.note_{i}", f"{note[:1].upper()}{note[1:]}.") for i, note in enumerate(origin.notes, start=1)
    ]


def subsets(run: Run) -> tuple[str, ...]:
    """Of what rows a loss can be taken: both of a known split that has them, else all."""
    if run.task.is_train is None:
        return ("all",)
    return tuple(name for name in ("train", "test") if len(run.task.rows(name)))


# ---- loss and accuracy curves ----------------------------------------------------------------------


def loss_claims(run: Run) -> list[Claim]:
    """Where test loss was largest, if that was neither at the beginning nor at the end, and the last losses."""
    train, test = logged(run, "train_loss"), logged(run, "test_loss")
    found = []
    if len(test) > 2 and test.index[0] < test.idxmax() < test.index[-1] and test.max() > 1.01 * test.iloc[-1]:
        peak, last = int(test.idxmax()), int(test.index[-1])
        text = f"Test loss peaks at {test.max():.3g} nats at step {peak:,} and is {test.iloc[-1]:.3g} at step {last:,}."
        numbers = {"peak": test.max(), "peak_step": peak, "last": test.iloc[-1], "last_step": last}
        found.append(Claim("curves.test_loss_peak", text, numbers, "a uniform guess"))
    else:
        found.append(_curve("curves.test_loss", "Test loss (nats)", test))
    found.append(_curve("curves.train_loss", "Train loss (nats)", train))
    return [claim for claim in found if claim is not None]


def accuracy_claims(run: Run) -> list[Claim]:
    """When accuracies came to 99%; where they did not, what they end at."""
    if crossings(run)["test"] is not None:
        return [claim for claim in (_fitted(run), *_grokked(run)) if claim is not None]
    found = [_fitted(run), _curve("curves.test_acc", "Test accuracy", logged(run, "test_acc"), ".1%")]
    return [claim for claim in found if claim is not None]


def _curve(id: str, what: str, curve: pd.Series, form: str = ".3g") -> Claim | None:
    return changed(id, what, [int(step) for step in curve.index], curve.tolist(), form)
