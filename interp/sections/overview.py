"""The numbers that matter, the configuration, and where they come from."""

from typing import Any

import pandas as pd

from train.curves import delay, first_crossing, stable_crossing

from ..html import Block, Table, Text
from ..runs import Run

THRESHOLD = 0.99


def build(run: Run) -> list[Block]:
    """A sentence on the outcome, a table of numbers, and the configuration."""
    return [
        Text(outcome(run)),
        Table(_numbers(run), "The numbers that matter. Steps are optimiser updates done; losses in nats."),
        Table(_config(run), "Configuration (every field), from run.json."),
    ]


def crossings(run: Run) -> dict[str, int | None]:
    """Steps at which train and test accuracy first reach 99%, from which test accuracy stays there, and the delay."""
    rows = run.evaluations
    steps = rows["step"].tolist()
    train = first_crossing(steps, rows["train_acc"].tolist(), THRESHOLD)
    test = first_crossing(steps, rows["test_acc"].tolist(), THRESHOLD)
    stable = stable_crossing(steps, rows["test_acc"].tolist(), THRESHOLD)
    return {"train": train, "test": test, "test_stable": stable, "delay": delay(train, test)}


def outcome(run: Run) -> str:
    """What happened, in words: memorised, grokked with a delay, or neither."""
    rows = run.evaluations
    if run.origin.kind == "imported":
        return _imported(run)
    if rows.empty:
        return "Nothing was evaluated yet."
    cross, last = crossings(run), rows.iloc[-1]
    state = (
        ""
        if run.is_done
        else f" The run is **not finished**: it stands at step {int(last.step):,} of {run.config.schedule.steps:,}."
    )
    if cross["train"] is None:
        text = (
            f"Up to step {int(last.step):,} the model **did not fit its training rows**: train accuracy is "
            f"{last.train_acc:.1%}."
        )
    elif cross["test"] is None:
        text = (
            f"The model fitted its training rows at step {cross['train']:,} and **did not grok** by step "
            f"{int(last.step):,}: test accuracy is {last.test_acc:.1%}."
        )
    else:
        text = (
            f"The model fitted its training rows at step {cross['train']:,} and the test rows at step "
            f"**{cross['test']:,}**, {cross['delay']:,} steps later (99% accuracy each)."
        )
        if cross["test_stable"] is None:
            text += f" It did **not stay** there: test accuracy ends at {last.test_acc:.1%}."
    return text + state


def _imported(run: Run) -> str:
    """Of a model that was trained elsewhere: how well it answers at its last snapshot, and what is not known."""
    snap, origin = run.last, run.origin
    scores = [f"{name} loss {snap.loss(name):.3g} nats, accuracy {snap.accuracy(name):.2%}" for name in _subsets(run)]
    said = [
        f"**Imported** from `{origin.source}` ({origin.layout} layout, SHA-256 `{origin.sha256}`): it was not trained "
        f"here{', and there is no log' if run.log.empty else ''}",
        f"At step {snap.step:,}: {'; '.join(scores)}",
        *([] if origin.knows("step") else ["How many updates were done is unknown: step 0 stands for it"]),
        *([] if run.task.is_train is not None else ["Which rows were trained on is unknown"]),
        *(note[:1].upper() + note[1:] for note in origin.notes),
    ]
    return " ".join(f"{sentence}." for sentence in said)


def _subsets(run: Run) -> tuple[str, ...]:
    """Of what rows a loss can be taken."""
    return ("train", "test") if run.task.is_train is not None else ("all",)


def _numbers(run: Run) -> pd.DataFrame:
    rows = run.evaluations
    cross = crossings(run)
    last = rows.iloc[-1] if len(rows) else None
    task = run.task
    n_train = len(task.rows("train")) if task.is_train is not None else None
    found = {
        "step of 99% train accuracy": cross["train"],
        "step of 99% test accuracy": cross["test"],
        "step from which test accuracy stays at 99%": cross["test_stable"],
        "delay (steps)": cross["delay"],
        "last step": None if last is None else int(last["step"]),
        "final train loss": None if last is None else last["train_loss"],
        "final test loss": None if last is None else last["test_loss"],
        "highest test loss": None if last is None else rows["test_loss"].max(),
        "final train accuracy": None if last is None else last["train_acc"],
        "final test accuracy": None if last is None else last["test_acc"],
        "training rows": n_train,
        "defined rows": len(task.rows("all")),
        "parameters": sum(tensor.numel() for tensor in run.weights(run.steps[-1]).values()),
        "snapshots": len(run.steps),
        "training time (s)": None if last is None else last["wall_s"],
    }
    if run.origin.kind == "imported":
        found |= _final_numbers(run)
    return pd.DataFrame({"quantity": list(found), "value": pd.Series(list(found.values()), dtype=object)})


def _final_numbers(run: Run) -> dict[str, Any]:
    """Of a run without a log: what its last snapshot tells."""
    snap = run.last
    found: dict[str, Any] = {"last step": snap.step if run.origin.knows("step") else None}
    for name in _subsets(run):
        found[f"final {name} loss"], found[f"final {name} accuracy"] = snap.loss(name), snap.accuracy(name)
    return found


def _config(run: Run) -> pd.DataFrame:
    rows = []
    for part, value in run.config.to_json().items():
        fields = value.items() if isinstance(value, dict) else [(part, value)]
        rows += [(part if isinstance(value, dict) else "run", name, setting) for name, setting in fields]
    frame = pd.DataFrame(rows, columns=["part", "field", "value"])
    return frame.assign(value=frame["value"].map(lambda v: "–" if v is None else str(v)))
