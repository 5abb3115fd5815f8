"""Engines that train stacks: local processes, a dask cluster, or Slurm, each a ``concurrent.futures`` executor."""

import contextlib
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from train.errors import UsageError
from train.hints import nearest

from .work import leave_with_parent

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SLURM = {
    "jobs": 4, "cores": 4, "memory": "8GB", "walltime": "04:00:00", "queue": None, "account": None,
    "job_extra_directives": [], "job_script_prologue": [], "python": None, "interface": None,
}  # fmt: skip
"""Options of [slurm] with defaults: the number of jobs, and arguments of dask_jobqueue.SLURMCluster."""
MANY = 10_000


@dataclass(frozen=True)
class Engine:
    """An executor factory for training stacks, with its limits."""

    opened: Callable[[], contextlib.AbstractContextManager[Executor]]
    """A function that returns the executor's context manager."""
    threads: int | None = None
    """CPU threads of a worker; None for the number that Dask assigns."""
    in_flight: int = MANY
    """Upper limit on the number of submitted stacks."""


def local(workers: int, threads: int) -> Engine:
    """An engine of ``workers`` processes on this machine, each with ``threads`` threads."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ |= dict.fromkeys(THREAD_VARIABLES, str(threads))  # workers' libraries read these on loading
        try:
            with _Processes(workers) as executor:
                try:
                    yield executor
                except BaseException:  # the workers save their runs when they are terminated
                    for child in multiprocessing.active_children():
                        child.terminate()
                    raise
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    return Engine(opened, threads, workers)


class _Processes(Executor):
    """Pools of one process each; in a larger pool, a worker killed while holding the shared lock blocks the rest."""

    def __init__(self, workers: int) -> None:
        self.pools: list[ProcessPoolExecutor | None] = [None] * workers
        self.idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        for i in range(workers):
            self.idle.put(i)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call to an idle process; blocks while all are busy."""
        i = self.idle.get()
        pool = self.pools[i]
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = self.pools[i] = ProcessPoolExecutor(1, mp_context=context, initializer=leave_with_parent)
        try:
            future = pool.submit(fn, *args, **kwargs)
        except BrokenProcessPool:  # the process died while idle
            self.pools[i] = None
            self.idle.put(i)
            return self.submit(fn, *args, **kwargs)
        future.add_done_callback(lambda done: self._free(i, done))
        return future

    def _free(self, i: int, done: Future[Any]) -> None:
        if not done.cancelled() and isinstance(done.exception(), BrokenProcessPool):
            self.pools[i] = None
        self.idle.put(i)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End every process."""
        for pool in self.pools:
            if pool is not None:
                pool.shutdown(wait, cancel_futures=True)


def dask(address: str) -> Engine:
    """An engine on a running dask scheduler, whose workers share the sweep's folder and have groklens installed."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        distributed = _needed("distributed")
        try:
            client = distributed.Client(address)  # the timeout is Dask's own setting
        except (OSError, ValueError) as error:
            raise UsageError(f"--address {address} is no dask scheduler that answers: {error}") from error
        with client:
            yield client.get_executor(pure=False)

    return Engine(opened)


def slurm(options: dict[str, Any]) -> Engine:
    """An engine of Slurm jobs, each a dask worker that trains one stack at a time on all of its cores."""

    @contextlib.contextmanager
    def opened() -> Iterator[Executor]:
        distributed = _needed("distributed")
        with slurm_cluster(options) as cluster:
            cluster.scale(jobs=({**SLURM, **options})["jobs"])
            with distributed.Client(cluster) as client:
                yield client.get_executor(pure=False)

    return Engine(opened, {**SLURM, **options}["cores"])


def slurm_cluster(options: dict[str, Any]) -> Any:
    """A dask-jobqueue cluster without jobs; its ``job_script()`` is the script that would be submitted.

    Raises:
        UsageError: an unknown option.
    """
    for name in options:
        if name not in SLURM:
            raise UsageError(f"unknown {name!r} in [slurm]{nearest(name, SLURM)}; allowed are {', '.join(SLURM)}")
    settings = {name: value for name, value in {**SLURM, **options}.items() if name != "jobs" and value is not None}
    return _needed("dask_jobqueue").SLURMCluster(processes=1, worker_extra_args=["--nthreads", "1"], **settings)


def _needed(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"this engine needs {name}: pip install 'groklens[cluster]'") from error
