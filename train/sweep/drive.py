"""Training of a sweep's unfinished runs: stacks are submitted to an engine, and resubmitted if a worker is lost."""

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
    """A stack, the number of workers lost without progress, and its number of snapshots at the last submission."""

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

    When a worker is lost (killed, out of memory, machine gone), its unsaved progress is lost. A stack that loses
    ``tries`` workers without a new snapshot is split into single runs, and a single run that again loses ``tries``
    workers counts as failed. ``watch`` is called several times per second.

    Raises:
        Stopped: a worker was stopped by a signal, or ``watch`` raised Stopped; everything is saved.
        UsageError: the engine cannot be reached, or is not installed.
    """
    queue = deque(_Job(list(runs)) for runs in stacks)
    rule = None if stop is None else dataclasses.asdict(stop)
    outcomes: list[Outcome] = []

    def submit(executor: Executor, job: _Job) -> "Future[list[Outcome]]":
        job.saved = _snapshots(root, job.runs)
        configs = [run.to_dict() for run in job.runs]
        return executor.submit(train_stack, str(root.absolute()), configs, device, engine.threads, rule)

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
                except Exception as error:  # of the engine; errors of runs are returned as outcomes
                    lost(job, error)
    return outcomes


def _lost(root: Path, job: _Job, error: Exception, tries: int) -> tuple[list[_Job], list[Outcome]]:
    """Jobs to resubmit after a stack lost its worker, and outcomes of runs that are abandoned."""
    job.lost = 1 if _snapshots(root, job.runs) > job.saved else job.lost + 1
    if job.lost < tries:
        return [job], []
    if len(job.runs) > 1:
        return [_Job([run]) for run in job.runs], []
    what = "its worker died" if isinstance(error, BrokenProcessPool) else f"its worker was lost ({error})"
    return [], [Outcome(job.runs[0].run_id, note(root, job.runs[0], f"{what} {tries} times without a new snapshot"))]


def _snapshots(root: Path, runs: Sequence[RunConfig]) -> int:
    return sum(len(list((root / run.run_id / "steps").glob("*.safetensors"))) for run in runs)
