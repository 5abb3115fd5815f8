"""The table of a sweep, one row per run, made from the runs' files and saved as ``sweep.parquet``."""

from pathlib import Path
from typing import Any

import pandas as pd

from train.curves import delay, first_crossing, stable_crossing
from train.errors import DataError, UsageError
from train.storage.files import is_there
from train.storage.json_files import read_json
from train.storage.store import RunStore

from .plan import evaluations, is_done
from .spec import Cell, Spec
from .work import FAILED

TABLE = "sweep.parquet"
HIGH = 0.99
"""Accuracy at which a run counts as having learned."""


def table(root: Path, spec: Spec) -> pd.DataFrame:
    """The table of a sweep, one row per run.

    Columns: run_id; arm and axes, named as in the spec; seed; status (done, failed, unfinished, missing);
    train_99, test_99, test_99_stable (first step with 99% train accuracy, with 99% test accuracy, and from which test
    accuracy stays at 99% to the end; missing if there is none); delay (steps from train_99 to test_99); best_test_acc
    and best_step; train_acc, test_acc, train_loss, test_loss (nats) and step of the last evaluation; seconds (of the
    run's stack, divided by the number of runs in it); error.
    """
    rows = [_row(root, cell, spec) for cell in spec.cells]
    frame = pd.DataFrame(rows)
    for name in ("train_99", "test_99", "test_99_stable", "delay", "best_step", "step"):
        frame[name] = frame[name].astype("Int64")
    return frame


def write_table(root: Path, spec: Spec) -> pd.DataFrame:
    """The table of a sweep, also written to ``sweep.parquet``, atomically."""
    frame = table(root, spec)
    temporary = root / f".{TABLE}.tmp"
    frame.to_parquet(temporary, index=False)
    temporary.replace(root / TABLE)
    return frame


def _row(root: Path, cell: Cell, spec: Spec) -> dict[str, Any]:
    run = cell.config
    row: dict[str, Any] = {"run_id": run.run_id, **cell.at, "seed": run.seed, "status": "missing"}
    store, failed = RunStore(root / run.run_id), root / run.run_id / FAILED
    log: list[dict[str, Any]] = []
    error = seconds = None
    if is_there(store.path / "run.json"):
        try:
            log = evaluations(store)
            seconds = _seconds(store, log)
            row["status"] = "done" if is_done(root, run, spec.stop) else "unfinished"
        except (DataError, UsageError) as problem:
            row["status"], error, log = "failed", str(problem), []
    if failed.exists():
        row["status"], error = "failed", _error_in(failed)
    return row | _statistics(log) | {"seconds": seconds, "error": error}


def _statistics(log: list[dict[str, Any]]) -> dict[str, Any]:
    steps = [row["step"] for row in log]
    train, test = ([row[name] for row in log] for name in ("train_acc", "test_acc"))
    train_99, test_99 = (first_crossing(steps, values, HIGH) for values in (train, test))
    best = max(range(len(log)), key=lambda i: test[i], default=None)
    last = log[-1] if log else {}
    return {
        "train_99": train_99,
        "test_99": test_99,
        "test_99_stable": stable_crossing(steps, test, HIGH),
        "delay": delay(train_99, test_99),
        "best_test_acc": None if best is None else test[best],
        "best_step": None if best is None else steps[best],
        **{name: last.get(name) for name in ("train_acc", "test_acc", "train_loss", "test_loss", "step")},
    }


def _seconds(store: RunStore, log: list[dict[str, Any]]) -> float | None:
    """Wall-clock seconds of a run's stack, divided by the number of runs that shared the last session."""
    if not log:
        return None
    sessions = store.info["sessions"] or [{}]
    return float(log[-1].get("wall_s", 0.0)) / max(1, sessions[-1].get("side_by_side", 1))


def _error_in(path: Path) -> str:
    try:
        failure = read_json(path)
    except (OSError, ValueError):
        failure = None
    error = failure.get("error") if isinstance(failure, dict) else None
    return error if isinstance(error, str) else f"{path} cannot be read"
