"""What a worker does: train a stack of runs, whatever has been done of them before."""

import contextlib
import json
import multiprocessing
import os
import signal
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

from .plan import is_done, is_left

FAILED = "failed.json"
STATUS = ".status"
"""Folder of what workers say of themselves."""
BEAT_S = 1.0
ONE_AT_A_TIME = threading.Lock()
"""A dask worker may be given several; settings of threads are the process's."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    run_id: str
    error: str | None = None
    """In a line; the traceback is in the run's ``failed.json``."""


def train_stack(
    root: str, configs: Sequence[dict[str, Any]], device: str, threads: int | None, stop: dict[str, Any] | None
) -> list[Outcome]:
    """Train runs of one shape side by side; arguments and result are plain, for they go to other machines.

    A run that is finished is not touched; one that fails does not stop the others: it is found by training each alone.
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
    """Errors by run; one that is not a run's own is found by halves."""
    if not runs:
        return {}
    for run in runs:
        (folder / run.run_id / FAILED).unlink(missing_ok=True)
    try:
        return _train(folder, runs, device, rule)
    except Stopped:
        raise
    except Exception as error:
        if len(runs) == 1 and isinstance(error, Busy):  # not this run's failure
            return {runs[0].run_id: str(error)}
        if len(runs) == 1:
            return {runs[0].run_id: _failed(folder, runs[0], error)}
        half = len(runs) // 2
        return _together(folder, runs[:half], device, rule) | _together(folder, runs[half:], device, rule)


def _train(folder: Path, runs: list[RunConfig], device: Any, rule: StopRule | None) -> dict[str, str]:
    import torch

    from train.cli.command import signals
    from train.cli.terminal import remark
    from train.engine.loop import train_together
    from train.engine.readers import pass_of
    from train.storage.provenance import session_info
    from train.storage.store import RunStore

    stores = [RunStore.create(folder, run) for run in runs]
    with contextlib.ExitStack() as locks:
        for store in stores:
            locks.enter_context(store.lock())
        todo = [(run, store) for run, store in zip(runs, stores, strict=True) if not is_done(folder, run, rule)]
        if not todo:  # others were faster
            return {}
        for run, store in todo:
            saved = store.begin()
            from_step = saved[1]["step"] if saved is not None else 0
            for note in store.notes:
                remark(note)
            command = ["python", "-m", "train.sweep"]
            taken = pass_of(run, device).record
            session = session_info(str(device), torch.get_num_threads(), command, from_step, taken)
            store.add_session(run, session | {"side_by_side": len(todo)})
        beat = _Beat(folder, [run.run_id for run, _ in todo])
        is_main = threading.current_thread() is threading.main_thread()  # elsewhere signals are not ours to take
        with beat, signals() if is_main else contextlib.nullcontext(lambda: None) as poll:
            errors = train_together(todo, device, progress=beat, stop_signal=lambda: poll() or _orphaned(), stop=rule)
    return {
        run.run_id: _failed(folder, run, error)
        for (run, _), error in zip(todo, errors, strict=True)
        if error is not None
    }


def leave_with_parent() -> None:
    """In a process of ours: end when the one that started it is gone, but not within a stack, which saves itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave() -> None:
        parent.join()
        with ONE_AT_A_TIME:
            os._exit(128 + signal.SIGTERM)

    threading.Thread(target=leave, daemon=True).start()


def _orphaned() -> int | None:
    """SIGTERM, where the process that sent us this work is gone and took no one with it."""
    parent = multiprocessing.parent_process()
    return None if parent is None or parent.is_alive() else signal.SIGTERM


def _failed(folder: Path, run: RunConfig, error: Exception) -> str:
    """Keep a failure beside the run's files; the line that tells it."""
    line = f"{'' if isinstance(error, UsageError | DataError | DivergedError) else type(error).__name__ + ': '}{error}"
    return note(folder, run, " ".join(line.split()), traceback.format_exception(error))


def note(folder: Path, run: RunConfig, line: str, lines: Sequence[str] = ()) -> str:
    """Keep a failure in the run's ``failed.json``, with its traceback where there is one; the line."""
    path = folder / run.run_id
    with contextlib.suppress(OSError):  # a full disk is told by the line
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / FAILED, {"error": line, "traceback": list(lines)})
    return line


class _Beat:
    """Says every second how far a stack is: a file of its own, ``.status/<pid>.json``, gone when it is done."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.path, self.names, self.said = folder / STATUS / f"{os.uname().nodename}-{os.getpid()}.json", names, 0.0

    def __enter__(self) -> "_Beat":
        self.path.parent.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def __call__(self, reports: Sequence[Any]) -> None:
        now = time.time()
        if now - self.said < BEAT_S:
            return
        self.said = now
        runs = {}
        for name, report in zip(self.names, reports, strict=True):
            row = report.row or {}
            runs[name] = {"step": report.step, "train_acc": row.get("train_acc"), "test_acc": row.get("test_acc")}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"at": now, "runs": runs}))
        temporary.replace(self.path)
