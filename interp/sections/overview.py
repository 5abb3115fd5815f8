"""The key numbers of the run, and its configuration."""

from typing import Any

import pandas as pd

from interp.html.blocks import Block, Table
from interp.html.numbers import number
from interp.runs.run import Run
from interp.story.outcome import subsets
from interp.story.transition import LEARNED, brackets
from train.curves import Bracket, delay_range

TABLES = {"numbers": "key numbers of the run", "config": "every field of the config"}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A table of numbers, and the configuration."""
    return [
        Table(_numbers(run), "Key numbers. A step is one optimiser update; losses are in nats.", id="numbers"),
        Table(_config(run), _config_caption(run), id="config"),
    ]


def _numbers(run: Run) -> pd.DataFrame:
    rows, at = run.evaluations, brackets(run)
    gap = delay_range(at["train"], at["test"])
    last = rows.iloc[-1] if len(rows) else None
    task = run.task
    n_train = len(task.rows("train")) if task.is_train is not None else None
    found = {
        f"{LEARNED} train accuracy reached": _written(at["train"]),
        f"{LEARNED} test accuracy reached": _written(at["test"]),
        f"{LEARNED} test accuracy reached for good": _written(at["test_stable"]),
        "delay (steps)": None if gap is None else f"{gap[0]:,} to {gap[1]:,}",
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


def _written(crossing: Bracket | None) -> str | None:
    return None if crossing is None else str(crossing)


def _final_numbers(run: Run) -> dict[str, Any]:
    """Final numbers of a run without a log, from its last snapshot."""
    snap = run.last
    found: dict[str, Any] = {"last step": snap.step if run.origin.knows("step") else None}
    for name in subsets(run):
        found[f"final {name} loss"], found[f"final {name} accuracy"] = snap.loss(name), snap.accuracy(name)
    return found


def _config_caption(run: Run) -> str:
    if run.origin.kind == "trained":
        return "Configuration (every field), from run.json."
    return "Configuration (every field); what the imported file does not record is unknown."


def _config(run: Run) -> pd.DataFrame:
    rows = []
    for part, value in run.config.to_dict().items():
        fields = value.items() if isinstance(value, dict) else [(part, value)]
        rows += [(part if isinstance(value, dict) else "run", name, setting) for name, setting in fields]
    frame = pd.DataFrame(rows, columns=["part", "field", "value"])
    return frame.assign(value=frame["value"].map(_setting))


def _setting(value: Any) -> str:
    """The value of a field as text; a dash for None."""
    if value is None:
        return "–"
    return number(value, 6) if isinstance(value, float) else str(value)
