"""Tiny runs in every state that a run can be left in, what is read from them, and how they are resumed.

The clock stands still while they are made, so that their bytes are reproducible.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

Tree = dict[str, bytes]
"""Contents of a run's files by name, without links and folders."""
SESSION = {"command": "python -m train.run --p 3", "device": "cpu", "threads": 1}
CONFIG = {"p": 3, "train_frac": 0.6, "split": "stream", "d_model": 4, "n_heads": 1, "d_mlp": 4, "per_decade": 3}
FIRST, SECOND, THIRD = 5, 8, 10
"""Last steps of a done run's two sessions, and the step to which every run is then resumed."""


class Crash(Exception):
    """Raised where a process would die."""


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """A context without fsync, with a fixed clock (so that bytes are reproducible) and one thread."""
    from train.engine import loop as engine
    from train.engine import recorder

    class Clock:
        monotonic = staticmethod(lambda: 0.0)

    before = os.fsync, recorder.time, engine.one_thread_each, engine.time
    os.fsync = lambda fd: None
    recorder.time = engine.time = Clock  # type: ignore[assignment]
    engine.one_thread_each = lambda: contextlib.nullcontext(1)  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync, recorder.time, engine.one_thread_each, engine.time = before


# ---- the runs ----------------------------------------------------------------------------------------


def config_of(steps: int, **fields: Any) -> Any:
    from train.config.run import RunConfig
    from train.config.settings import override

    return override(RunConfig(), {**CONFIG, "steps": steps, **fields})


def train_on(root: Path, config: Any, **how: Any) -> list[str]:
    """Resume a run as the training command does; returns the messages about damage."""
    from train.engine.loop import train
    from train.engine.recorder import finished_step
    from train.storage.store import RunStore

    store = RunStore.create(root, config)
    with store.lock():
        if finished_step(config, store) is None:
            store.begin()
            store.add_session(config, SESSION)
            train(config, store, torch.device("cpu"), **how)
    return store.notes


def stop_after(steps: int) -> Callable[[], int | None]:
    asked = iter(range(1, 1000))
    return lambda: 2 if next(asked) > steps else None


def tree_of(path: Path) -> Tree:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@dataclasses.dataclass
class Case:
    """A run: its files, earlier versions of them, another run's files, and what the undamaged run gives."""

    name: str
    tree: Tree
    stale: list[Tree]
    other: Tree
    config: Any
    read: Any = None
    resumed: Any = None


def cases(folder: Path) -> list[Case]:
    """Make the four runs in ``folder``."""
    folder.mkdir(parents=True)
    made = [_done(folder), _stopped(folder), _killed(folder), _imported(folder)]
    for case in made:
        path = laid_out(folder / "undisturbed" / case.name, case, case.tree)
        case.read = reading(path)
        if case.name != "imported":
            assert train_on(path.parent, config_of(THIRD)) == []
            case.resumed = reading(path)
        again = laid_out(folder / "control" / case.name, case, case.tree)
        assert reading(again) == case.read  # the clock stands still: nothing differs by itself
    return made


def laid_out(root: Path, case: Case, tree: Tree) -> Path:
    """Write a run's files below ``root``; returns the run's directory."""
    path = root / (case.config.run_id if case.config is not None else "stranger")
    (path / "steps").mkdir(parents=True)
    for name, data in tree.items():
        (path / name).write_bytes(data)
    return path


def _done(folder: Path) -> Case:
    trees = []
    for seed in (0, 1):
        root = folder / f"done{seed}"
        root.mkdir()
        for steps in (FIRST, SECOND):
            config = config_of(steps, seed=seed)
            train_on(root, config)
            trees.append(tree_of(root / config.run_id))
    return Case("done", trees[1], [trees[0]], trees[3], config_of(SECOND))


def _stopped(folder: Path) -> Case:
    trees = []
    for seed in (0, 1):
        root = folder / f"stopped{seed}"
        root.mkdir()
        config = config_of(THIRD, seed=seed)
        for stop in (3, 4):  # at step 3, then at 7
            with contextlib.suppress(_stopped_error()):
                train_on(root, config, stop_signal=stop_after(stop))
            trees.append(tree_of(root / config.run_id))
    return Case("stopped", trees[1], [trees[0]], trees[3], config_of(THIRD))


def _stopped_error() -> type[Exception]:
    from train.errors import Stopped

    return Stopped


def _killed(folder: Path) -> Case:
    """A run killed at step 7, whose log goes on after the resume state of step 5 and ends in half a row."""
    from train.engine import loop as engine

    trees = []
    for seed in (0, 1):
        root = folder / f"killed{seed}"
        root.mkdir()
        config = config_of(THIRD, seed=seed)
        for step in (4, 7):

            def crash(report: Any, step: int = step) -> None:
                if report.step == step:
                    raise Crash

            before, engine.REPORT_EVERY_S = engine.REPORT_EVERY_S, -1.0
            try:
                with contextlib.suppress(Crash):
                    train_on(root, config, progress=crash)
            finally:
                engine.REPORT_EVERY_S = before
            log = root / config.run_id / "log.jsonl"
            log.write_bytes(log.read_bytes() + b'{"step": 8, "train_l')
            trees.append(tree_of(root / config.run_id))
    return Case("killed", trees[1], [trees[0]], trees[3], config_of(THIRD))


def _imported(folder: Path) -> Case:
    from train.model import build_model
    from train.storage.imported import write_imported

    trees = []
    for seed in (0, 1):
        config = config_of(10, seed=seed)
        weights = build_model(config).state_dict()
        parts = config.to_dict()
        known = {"task": {"op": "add", "p": 3}, "model": parts["model"]}
        origin = {"source": f"stranger{seed}.pt", "sha256": "ab" * 32, "layout": "nanda", "unknown": ["optim", "seed"]}
        snapshots = {step: {name: t + step for name, t in weights.items()} for step in (0, 10, 20)}
        split = torch.arange(9) % 2 == seed
        trees.append(tree_of(write_imported(folder / f"import{seed}", known, origin, snapshots, split).path))
    return Case("imported", trees[0], [], trees[1], None)


# ---- what is read ------------------------------------------------------------------------------------


def reading(path: Path) -> dict[str, Any]:
    """Everything that a reader gets from a run."""
    from interp.runs.run import Run
    from train.storage.store import RunStore

    store = RunStore.open(path)
    run = Run(store)
    sessions = [{k: v for k, v in session.items() if k != "notes"} for session in store.info["sessions"]]
    weights = {step: run.weights(step) for step in run.steps}
    is_train = run.task.is_train
    return {
        "config": store.config,
        "info": {**store.info, "sessions": sessions, "sha256": ""},
        "origin": run.origin,
        "log": store.read_log(),
        "manifest": store.manifest,
        "weights": {step: {n: t.numpy().tobytes() for n, t in own.items()} for step, own in weights.items()},
        "split": None if is_train is None else is_train.tolist(),
        "done": store.done_step,
        "is_done": run.is_done,
    }
