"""Where stacks are trained: processes here, a dask cluster, or Slurm; all of them ``concurrent.futures`` executors."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..operations import nearest

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SLURM = {
    "jobs": 4, "cores": 4, "memory": "8GB", "walltime": "04:00:00", "queue": None, "account": None,
    "job_extra_directives": [], "job_script_prologue": [], "python": None, "interface": None,
}  # fmt: skip
"""Options of [slurm] and their defaults: dask_jobqueue.SLURMCluster's, and the number of jobs."""
MANY = 10_000


@dataclass(frozen=True)
class Engine:
    """A place that trains stacks."""

    opened: Callable[[], contextlib.AbstractContextManager[Executor]]
    """Makes the executor, anew after it broke."""
    in_flight: int = MANY
    """Stacks handed out at a time: where a lost worker takes all others with it, no more than there are workers."""


def local(workers: int, threads: int) -> Engine:
    """Processes of this machine, each with so many threads."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        context = multiprocessing.get_context("spawn")
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))  # read when libraries are loaded
        executor = ProcessPoolExecutor(workers, mp_context=context)
        try:
            yield executor
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    return Engine(opened, workers)


def dask(address: str) -> Engine:
    """A running dask scheduler; its workers see the sweep's folder, and have this package."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        distributed = _needed("distributed")
        try:
            client = distributed.Client(address)  # waits as long as dask's own settings say
        except (OSError, ValueError) as error:
            raise UsageError(f"--address {address} is no dask scheduler that answers: {error}") from error
        with client:
            yield client.get_executor(pure=False)

    return Engine(opened)


def slurm(options: dict[str, Any]) -> Engine:
    """Jobs of Slurm, each a dask worker."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        distributed = _needed("distributed")
        with slurm_cluster(options) as cluster:
            cluster.scale(jobs=({**SLURM, **options})["jobs"])
            with distributed.Client(cluster) as client:
                yield client.get_executor(pure=False)

    return Engine(opened)


def slurm_cluster(options: dict[str, Any]) -> Any:
    """dask-jobqueue's cluster, without a job yet: ``job_script()`` shows what is submitted.

    Raises:
        UsageError: an option that there is not.
    """
    for name in options:
        if name not in SLURM:
            raise UsageError(f"unknown {name!r} in [slurm]{nearest(name, SLURM)}; allowed are {', '.join(SLURM)}")
    given = {name: value for name, value in {**SLURM, **options}.items() if name != "jobs" and value is not None}
    return _needed("dask_jobqueue").SLURMCluster(processes=1, **given)


def _needed(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"this engine needs {name}: pip install 'groklens[cluster]'") from error
