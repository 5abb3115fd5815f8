"""A session of training: runs of one shape, opened in a folder and locked, and then trained side by side.

The training command, ``train.train`` and the workers of a sweep open runs here and nowhere else.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from train.config.run import RunConfig
from train.errors import DivergedError
from train.model.precision import check_precision
from train.passes.choose import Choice
from train.storage.provenance import session_info
from train.storage.store import RunStore

from .loop import Progress, train_together
from .readers import pass_of
from .recorder import finished_step
from .schedule import StopRule
from .shapes import check_memory


@dataclass(frozen=True)
class Trainee:
    """A run that is to be trained, and the step it resumes from."""

    config: RunConfig
    store: RunStore
    from_step: int


@dataclass(frozen=True)
class Session:
    """Runs that are open for training; their locks are held.

    Attributes:
        device: where they train.
        taken: the pass that computes their gradients.
        stores: every run, in the order of the configs.
        finished: the steps of runs that have all their steps already, by directory.
        trainees: the other runs.
    """

    device: torch.device
    taken: Choice
    stores: list[RunStore]
    finished: dict[Path, int]
    trainees: list[Trainee]

    @property
    def notes(self) -> list[str]:
        """What was found damaged in the runs and repaired, a line each."""
        return [note for trainee in self.trainees for note in trainee.store.notes]

    def train(
        self,
        *,
        progress: Callable[[list[Progress]], None] = lambda _: None,
        stop_signal: Callable[[], int | None] = lambda: None,
        stop: StopRule | None = None,
    ) -> dict[Path, DivergedError]:
        """Train every run to its last step. Returns the errors of runs that diverged, by directory.

        Raises:
            Stopped, DataError, OSError: as ``train.engine.loop.train_together``.
        """
        if not self.trainees:
            return {}
        runs = [(trainee.config, trainee.store) for trainee in self.trainees]
        errors = train_together(runs, self.device, progress=progress, stop_signal=stop_signal, stop=stop)
        return {store.path: error for (_, store), error in zip(runs, errors, strict=True) if error is not None}


@contextlib.contextmanager
def opened(
    configs: Sequence[RunConfig],
    folder: Path,
    device: torch.device,
    command: Sequence[str],
    finished: Callable[[RunConfig, RunStore], int | None] = finished_step,
) -> Iterator[Session]:
    """Open runs of one shape for training, each made where it does not exist, and hold their locks.

    Nothing is written before the device is known to have the runs' precision and the memory for them.

    Args:
        configs: the runs.
        folder: the parent of their directories.
        device: where they train.
        command: recorded in each ``run.json`` as what trains the run.
        finished: returns the step at which a run has ended, or None where it has steps left.

    Raises:
        UsageError: the precision, the memory or the folder does not allow the runs; or another process trains one.
        UndeclaredSetting: no part of the training obeys one of their settings.
        DataError: files of a run that are needed are damaged.
    """
    check_precision(configs[0], device)
    taken = pass_of(configs[0], device)
    check_memory(configs, device)
    folder.mkdir(parents=True, exist_ok=True)
    stores = [RunStore.create(folder, config) for config in configs]
    with contextlib.ExitStack() as locks:
        for store in stores:
            locks.enter_context(store.lock())
        session = Session(device, taken, stores, {}, [])
        for config, store in zip(configs, stores, strict=True):
            step = finished(config, store)
            if step is None:
                session.trainees.append(Trainee(config, store, _begun(store)))
            else:
                session.finished[store.path] = step
        _record(session, command)
        yield session


def _begun(store: RunStore) -> int:
    """The step that a run resumes from, its files repaired where they were damaged: see ``RunStore.begin``."""
    saved = store.begin()
    return 0 if saved is None else saved[1]["step"]


def _record(session: Session, command: Sequence[str]) -> None:
    """Add this session to the ``run.json`` of every run that is to be trained."""
    side_by_side = {"side_by_side": len(session.trainees)} if len(session.stores) > 1 else {}
    for config, store, from_step in ((one.config, one.store, one.from_step) for one in session.trainees):
        info = session_info(
            str(session.device), torch.get_num_threads(), list(command), from_step, session.taken.record
        )
        store.add_session(config, info | side_by_side)
