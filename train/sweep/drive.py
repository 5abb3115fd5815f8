"""Train the unfinished runs of a sweep: stacks are handed to an engine, and again where a worker was lost."""

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from train.config.run import RunConfig
from train.engine.schedule import StopRule
from train.errors import Stopped, UsageError

from .engines import Engine
from .work import Outcome, note, train_stack

POLL_S = 0.2


@dataclasses.dataclass
class _Job:
    """A stack, how often its worker was lost without progress, and its snapshots when it was last handed out."""

    runs: list[RunConfig]
    lost: int = 0
    saved: int = -1


def drive(
    root: Path,
    stacks: Sequence[Sequence[RunConfig]],
    engine: Engine,
    *,
    device: str,
    stop: StopRule | None,
    tries: int = 3,
    watch: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Train every stack. Returns the outcome of each run.

    A lost worker (killed, out of memory, its machine gone) costs what it had not saved. A stack that loses ``tries``
    workers without a new snapshot is tried run by run, as many times each; a run that loses them all so has failed.
    ``watch`` is called several times a second.

    Raises:
        Stopped: a worker was stopped by a signal, or ``watch`` raised it; everything is saved.
        UsageError: the engine cannot be reached, or is not installed.
    """
    queue = deque(_Job(list(runs)) for runs in stacks)
    rule = None if stop is None else dataclasses.asdict(stop)
    outcomes: list[Outcome] = []

    def submit(executor: Executor, job: _Job) -> "Future[list[Outcome]]":
        job.saved = _snapshots(root, job.runs)
        given = [run.to_dict() for run in job.runs]
        return executor.submit(train_stack, str(root.absolute()), given, device, engine.threads, rule)

    def lost(job: _Job, error: Exception) -> None:
        again, given_up = _lost(root, job, error, tries)
        outcomes.extend(given_up)
        queue.extendleft(again)

    with engine.opened() as executor:
        jobs: dict[Future[list[Outcome]], _Job] = {}
        while jobs or queue:
            while queue and len(jobs) < engine.in_flight:
                job = queue.popleft()
                try:
                    jobs[submit(executor, job)] = job
                except Exception as error:  # the engine has failed
                    lost(job, error)
            done, _ = wait(jobs, timeout=POLL_S, return_when=FIRST_COMPLETED)
            watch()
            for future in done:
                job = jobs.pop(future)
                try:
                    outcomes += future.result()
                except (Stopped, UsageError):
                    raise
                except Exception as error:  # the engine's: a run's own come back as outcomes
                    lost(job, error)
    return outcomes


def _lost(root: Path, job: _Job, error: Exception, tries: int) -> tuple[list[_Job], list[Outcome]]:
    """The jobs to try again after a stack lost its worker, and the outcomes of runs that are given up."""
    job.lost = 1 if _snapshots(root, job.runs) > job.saved else job.lost + 1
    if job.lost < tries:
        return [job], []
    if len(job.runs) > 1:
        return [_Job([run]) for run in job.runs], []
    what = "its worker died" if isinstance(error, BrokenProcessPool) else f"its worker was lost ({error})"
    return [], [Outcome(job.runs[0].run_id, note(root, job.runs[0], f"{what} {tries} times without a new snapshot"))]


def _snapshots(root: Path, runs: Sequence[RunConfig]) -> int:
    return sum(len(list((root / run.run_id / "steps").glob("*.safetensors"))) for run in runs)
