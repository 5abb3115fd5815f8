"""The work of a sweep's workers: training a stack of runs, resuming any that were begun before."""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.cli.arguments import find_device
from train.config.run import RunConfig
from train.engine.schedule import StopRule
from train.errors import Busy, DataError, DivergedError, Stopped, UsageError
from train.storage.files import write_json
from train.storage.store import RunStore

from .plan import is_done, is_left

FAILED = "failed.json"
STATUS = ".status"
"""Folder of the files in which workers report their progress."""
BEAT_S = 1.0
ONE_AT_A_TIME = threading.Lock()
"""A lock held while a stack trains: a Dask worker may run several tasks, but thread counts are per process."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run on a worker: the run, and the error that ended it, if any."""

    run_id: str
    error: str | None = None
    """The error in one line; the traceback is in the run's ``failed.json``."""


def train_stack(
    root: str, configs: Sequence[dict[str, Any]], device: str, threads: int | None, stop: dict[str, Any] | None
) -> list[Outcome]:
    """Train runs of one shape side by side. Arguments and result are plain values, for pickling to other machines.

    Finished runs are left alone. If a run fails, the others continue: the stack is bisected until the failing run is
    isolated.
    """
    with ONE_AT_A_TIME:
        return _train_stack(root, configs, device, threads, stop)


def _train_stack(
    root: str, configs: Sequence[dict[str, Any]], device: str, threads: int | None, stop: dict[str, Any] | None
) -> list[Outcome]:
    import torch

    if threads is None:
        from distributed import get_worker

        threads = int(get_worker().state.nthreads)
    torch.set_num_threads(threads)
    folder, rule = Path(root), None if stop is None else StopRule(**stop)
    runs = [RunConfig.from_dict(config) for config in configs]
    todo = [run for run in runs if is_left(folder, run, rule)]
    errors = _together(folder, todo, find_device(device), rule)
    return [Outcome(run.run_id, errors.get(run.run_id)) for run in runs]


def _together(folder: Path, runs: list[RunConfig], device: Any, rule: StopRule | None) -> dict[str, str]:
    """Train a stack. Returns errors by run; if the whole stack fails, each half is trained separately."""
    if not runs:
        return {}
    for run in runs:
        (folder / run.run_id / FAILED).unlink(missing_ok=True)
    try:
        return _train(folder, runs, device, rule)
    except Stopped:
        raise
    except Exception as error:
        if len(runs) == 1 and isinstance(error, Busy):  # another process trains the run, which has not failed
            return {runs[0].run_id: str(error)}
        if len(runs) == 1:
            return {runs[0].run_id: _failed(folder, runs[0], error)}
        half = len(runs) // 2
        return _together(folder, runs[:half], device, rule) | _together(folder, runs[half:], device, rule)


def _train(folder: Path, runs: list[RunConfig], device: Any, rule: StopRule | None) -> dict[str, str]:
    """Train runs of one shape that are not finished yet. Returns the errors of those that diverged, by run."""
    from train.cli.command import signals
    from train.cli.terminal import remark
    from train.engine.session import opened

    def finished(run: RunConfig, store: RunStore) -> int | None:  # another worker may have finished the run
        return store.done_step if is_done(folder, run, rule) else None

    with opened(runs, folder, device, ["python", "-m", "train.sweep"], finished) as session:
        for line in session.notes:
            remark(line)
        beat = _Beat(folder, [trainee.config.run_id for trainee in session.trainees])
        with beat, signals() as poll:
            errors = session.train(progress=beat, stop_signal=lambda: poll() or _orphaned(), stop=rule)
    return {
        run.run_id: _failed(folder, run, errors[folder / run.run_id]) for run in runs if folder / run.run_id in errors
    }


def leave_with_parent() -> None:
    """Exit this worker process when its parent dies, after the current stack has saved."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        with ONE_AT_A_TIME:
            os._exit(128 + signal.SIGTERM)

    threading.Thread(target=leave, daemon=True).start()


def _orphaned() -> int | None:
    """SIGTERM if the parent process has died, else None."""
    parent = multiprocessing.parent_process()
    return None if parent is None or parent.is_alive() else signal.SIGTERM


def _failed(folder: Path, run: RunConfig, error: Exception) -> str:
    """Write an error to the run's ``failed.json``. Returns the error in one line."""
    line = f"{'' if isinstance(error, UsageError | DataError | DivergedError) else type(error).__name__ + ': '}{error}"
    return note(folder, run, " ".join(line.split()), traceback.format_exception(error))


def note(folder: Path, run: RunConfig, line: str, lines: Sequence[str] = ()) -> str:
    """Write a failure, and the lines of its traceback, to the run's ``failed.json``. Returns ``line``."""
    path = folder / run.run_id
    with contextlib.suppress(OSError):  # if the disk is full, the returned line still reaches the user
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / FAILED, {"error": line, "traceback": list(lines)})
    return line


class _Beat:
    """Writes a stack's progress every second to its own file, ``.status/<host>-<pid>.json``, removed at the end."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.path = folder / STATUS / f"{socket.gethostname()}-{os.getpid()}.json"
        self.names, self.written_at = names, 0.0

    def __enter__(self) -> "_Beat":
        self.path.parent.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def __call__(self, reports: Sequence[Any]) -> None:
        now = time.time()
        if now - self.written_at < BEAT_S:
            return
        self.written_at = now
        runs = {}
        for name, report in zip(self.names, reports, strict=True):
            row = report.row or {}
            runs[name] = {"step": report.step, "train_acc": row.get("train_acc"), "test_acc": row.get("test_acc")}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"at": now, "runs": runs}))
        temporary.replace(self.path)
