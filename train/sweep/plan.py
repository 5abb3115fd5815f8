"""Division of a sweep into stacks, and estimates of its cost."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config.run import RunConfig
from train.curves import stable_crossing
from train.engine.memory import FREE_SHARE, free_bytes
from train.engine.schedule import MAX_EXTRA_SNAPSHOTS, StopRule, eval_grid, log_grid
from train.engine.shapes import bytes_per_run, shape_of
from train.errors import DataError, UsageError
from train.storage.files import is_there
from train.storage.store import RunStore

if TYPE_CHECKING:
    import torch

STACK = 8
"""Default number of runs in a stack: larger ones gain little speed and lose more when a worker dies."""
TIMED_STEPS = 5
BYTES_PER_ROW = 90
"""Bytes of a log row, with its checksum."""
GENERATIONS = 3
"""Resume states on disk while one is being written: the new one and the two before."""


@dataclass(frozen=True)
class Estimate:
    """An upper limit on the cost of a sweep's unfinished runs."""

    runs: int
    stacks: int
    disk_bytes: int
    seconds: float
    """Training time on this machine, one stack after the other."""

    def __str__(self) -> str:
        size = f"{self.disk_bytes / 1e9:.2g} GB" if self.disk_bytes >= 1e9 else f"{self.disk_bytes / 1e6:.2g} MB"
        span = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        span = span if self.seconds < 7200 else f"{self.seconds / 3600:.1f} hours"
        return f"{self.runs} runs in {self.stacks} stacks: at most {size} of disk and about {span} on this machine"


def stacks_of(configs: Sequence[RunConfig], size: int) -> list[list[RunConfig]]:
    """Stacks of at most ``size`` runs of one shape and length; finished runs are included, so stacks never change."""
    shapes: dict[str, list[RunConfig]] = {}
    for config in configs:
        shapes.setdefault(f"{shape_of(config)} {config.schedule.steps}", []).append(config)
    return [runs[i : i + size] for runs in shapes.values() for i in range(0, len(runs), size)]


def is_done(root: Path, config: RunConfig, stop: StopRule | None) -> bool:
    """Whether a run is finished: it reached its last step, or the stop rule held.

    Raises:
        DataError: files of the run cannot be read.
    """
    store = RunStore(root / config.run_id)
    if not is_there(store.path / "run.json"):
        return False
    if store.run_id != config.run_id:
        raise DataError(f"{store.path} holds the run {store.run_id}: move it away")
    done = store.done_step
    if done is None:
        return False
    return done >= config.schedule.steps or (stop is not None and has_held(store, stop))


def is_left(root: Path, config: RunConfig, stop: StopRule | None) -> bool:
    """Whether a run is submitted to a worker; damaged runs are, so that only that run fails, not the sweep."""
    try:
        return not is_done(root, config, stop)
    except DataError:
        return True


def has_held(store: RunStore, stop: StopRule) -> bool:
    """Whether the stop rule holds at the end of the log."""
    rows = evaluations(store)
    since = stable_crossing([row["step"] for row in rows], [row["test_acc"] for row in rows], stop.test_acc)
    return since is not None and rows[-1]["step"] - since >= stop.steps


def evaluations(store: RunStore) -> list[dict[str, Any]]:
    """Rows of a run's log that hold an evaluation.

    Raises:
        DataError: the log cannot be read.
    """
    return [row for row in store.read_log() if "test_acc" in row]


def missing(root: Path, stacks: Sequence[Sequence[RunConfig]], stop: StopRule | None) -> list[list[RunConfig]]:
    """The unfinished (or damaged) runs of each stack, without empty stacks."""
    left = [[config for config in stack if is_left(root, config, stop)] for stack in stacks]
    return [stack for stack in left if stack]


def fitting(configs: Sequence[RunConfig], size: int, device: "torch.device") -> int:
    """The size of a stack: ``size``, or as many runs as fit in memory if all were as large as the largest.

    Raises:
        UsageError: not even one run fits.
    """
    largest = max(map(bytes_per_run, configs))
    most = int(FREE_SHARE * free_bytes(device) / largest)
    if most < 1:
        raise UsageError(
            f"one run of this sweep needs {largest / 1e9:.3g} GB of memory, more than is free on {device}: lower "
            "d_model, p or grokfast_window"
        )
    return min(size, most)


def disk_bytes(config: RunConfig) -> int:
    """An upper limit on a run's bytes on disk: scheduled and extra snapshots, resume states, and the log."""
    from train.model import count_weights
    from train.optim.optimizer import numbers_saved

    weights = 4 * count_weights(config)
    steps = config.schedule.steps
    snapshots = len(log_grid(config.schedule.per_decade, steps)) + MAX_EXTRA_SNAPSHOTS + 1
    states = 1 + numbers_saved(config.optim)
    return (snapshots + GENERATIONS * states) * weights + BYTES_PER_ROW * (steps + 4 * len(eval_grid(steps)))


def estimate(root: Path, stacks: Sequence[Sequence[RunConfig]], device: "torch.device", threads: int) -> Estimate:
    """The cost of some stacks, from a few timed updates of one stack of each shape.

    Raises:
        UsageError: the disk does not have enough free space.
    """
    rates: dict[str, float] = {}
    sizes: dict[str, int] = {}
    disk, seconds = 0, 0.0
    for stack in stacks:
        shape = str(shape_of(stack[0]))
        key = f"{shape} {len(stack)}"
        if key not in rates:
            rates[key] = _seconds_per_step(stack, device, threads)
        size = f"{shape} {stack[0].schedule}"
        if size not in sizes:
            sizes[size] = disk_bytes(stack[0])
        disk += sizes[size] * len(stack)
        seconds += rates[key] * stack[0].schedule.steps
    free = shutil.disk_usage(_existing(root)).free
    total = Estimate(sum(map(len, stacks)), len(stacks), disk, seconds)
    if disk > free:
        raise UsageError(
            f"{total}; {root} has {free / 1e9:.1f} GB free: give fewer runs, a smaller per_decade, or another --out"
        )
    return total


def _seconds_per_step(stack: Sequence[RunConfig], device: "torch.device", threads: int) -> float:
    import torch

    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with one_thread_each() as count:
            timed = Stack(stack, device, count)
            for _ in range(2):  # warm-up, which includes compilation
                timed.update()
            started = time.perf_counter()
            for _ in range(TIMED_STEPS):
                losses = timed.update()
            losses.tolist()  # waits for the device
            return (time.perf_counter() - started) / TIMED_STEPS
    finally:
        torch.set_num_threads(before)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.absolute().parent)
