"""Shared fixtures. Our packages are imported inside functions: a type-checking import hook must come first.

``train_run``    trains a config into a folder, in this process, with one thread
``tiny_config``  p = 11, one layer of width 16, full batch, 300 steps
``tiny_run``     the folder of that run, trained once a session: read it, never change it
``run_copy``     a copy of the tiny run in ``tmp_path``, to damage
``tiny_states``  runs of three to ten steps in every state that a run can be left in: see ``tiny_states.py``
``quick_disk``   files are not forced to the disk, which is most of a tiny run's time
``forked``       starts functions in forked processes, which have torch imported already
"""

import gc
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
threadpool_limits(1)
"""One thread of linear algebra a process: here, where NumPy may be loaded already, and in workers and children.

Workers with a thread for each core spin while they wait for one another, which made the theory's tests five times
as dear; no number that a run trains depends on the number of threads.
"""

PRELOADED = [
    "train.run",
    "train.cli.display",
    "train.engine.loop",
    "train.model",
    "train.storage.provenance",
    "tyro",
    "torch._dynamo",
]
"""Modules that a training command imports, for forked processes to have; torch._dynamo comes with the optimisers."""


@pytest.fixture(scope="session")
def one_thread():
    """One CPU thread, so that floating-point sums have a fixed order in this process and in its children."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_config(one_thread):
    from train.config.model import ModelConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig

    return RunConfig(
        task=TaskConfig(p=11, train_frac=0.5, split="stream"),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=32),
        schedule=ScheduleConfig(steps=300),
    )


@pytest.fixture(scope="session")
def train_run(one_thread) -> Callable[..., Any]:
    """``train_run(root, config, stop_at=None, progress=...)``: the RunStore of the run, resumed from the disk.

    With ``stop_at`` training stops at that step, as by SIGINT.
    """
    import torch

    from train.engine.loop import train
    from train.errors import Stopped
    from train.storage.store import RunStore

    def go(root: Path, config: Any, stop_at: int | None = None, progress: Any = lambda _: None) -> RunStore:
        root.mkdir(parents=True, exist_ok=True)
        store = RunStore.create(root, config)
        found = store.load_resume()
        step = found[1]["step"] if found is not None else 0

        def stop_signal() -> int | None:  # asked once a step
            nonlocal step
            step += 1
            return 2 if stop_at is not None and step > stop_at else None

        with store.lock():
            try:
                train(config, store, torch.device("cpu"), progress=progress, stop_signal=stop_signal)
            except Stopped as stopped:
                assert stopped.step == stop_at
        return store

    return go


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_config, train_run) -> Path:
    return train_run(tmp_path_factory.mktemp("runs"), tiny_config).path


@pytest.fixture
def run_copy(tiny_run, tmp_path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "copies" / tiny_run.name)


@pytest.fixture(scope="session")
def tiny_states(one_thread, tmp_path_factory):
    from tiny_states import cases, quick

    with quick():
        return cases(tmp_path_factory.mktemp("tiny") / "cases")


@pytest.fixture
def quick_disk(monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture(scope="session")
def forked() -> Callable[..., Any]:
    """``forked(function, *args)``: a started process; ``exitcode`` is minus the signal that killed it.

    The function must be at the top of its test file. The first use imports the packages for all.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def start(function: Callable[..., None], *args: Any) -> Any:
        process = context.Process(target=function, args=args)
        process.start()
        return process

    return start


LONG = ("test_sweep_kills.py", "test_end_to_end.py", "test_scaling_limits.py", "test_howto.py", "test_notebooks.py")
"""Files that take longest: begun first, so that no worker is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first; the order within a file stays."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Exclude everything imported so far from garbage collection, which would traverse all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``gpu`` where there is no GPU."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
