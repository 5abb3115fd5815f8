"""Helpers of the tests of sweeps: a tiny grid, an engine in this process, and a run's numbers for comparison."""

import contextlib
import json
from concurrent.futures import Executor, Future
from pathlib import Path

BASE = """
seeds = "0..1"
[base]
preset = "quick"
p = 11
d_model = 16
n_heads = 2
d_mlp = 32
train_frac = 0.6
"""
AXES = """
[axes]
op = ["add", "mul"]
lr = [1e-3, 3e-3]
"""


class _Here(Executor):
    """An executor that calls a submitted function at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def in_this_process(monkeypatch) -> None:
    """Make the local sweep engine run its work in this process."""
    from train.sweep import engines

    here = engines.Engine(lambda: contextlib.nullcontext(_Here()), threads=1)
    monkeypatch.setattr(engines, "local", lambda workers, threads: here)


def numbers(path: Path):
    """A run's snapshots and log, without times and without the checksums of rows that hold times."""
    log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    weights = {p.name: p.read_bytes() for p in path.glob("steps/*.safetensors")}
    return weights, [{key: value for key, value in row.items() if key not in ("wall_s", "check")} for row in log]
