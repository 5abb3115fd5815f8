"""A training session: runs of one shape that are opened in a folder, locked, and trained side by side.

The training command, ``train.train`` and sweep workers all open runs through this module.
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
    """A run to train, and the step from which training resumes."""

    config: RunConfig
    store: RunStore
    from_step: int


@dataclass(frozen=True)
class Session:
    """Runs that are open for training, with their locks held.

    Attributes:
        device: the device of all runs.
        taken: the pass that computes the gradients.
        stores: every run, in the order of the configs.
        finished: the last steps of runs that are already complete, by directory.
        trainees: the runs that are not complete.
    """

    device: torch.device
    taken: Choice
    stores: list[RunStore]
    finished: dict[Path, int]
    trainees: list[Trainee]

    @property
    def notes(self) -> list[str]:
        """One line for each damage that was repaired when the runs were opened."""
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
    """Open runs of one shape for training, creating those that do not exist, and hold their locks.

    Precision and memory are checked before anything is written.

    Args:
        configs: the configs of the runs.
        folder: the parent of the run directories.
        device: the device to train on.
        command: the command line recorded in each ``run.json``.
        finished: returns the step at which a run has ended, or None if the run has steps left.

    Raises:
        UsageError: the device lacks the precision or the memory, a directory is not usable, or another process is
            training one of the runs.
        UndeclaredSetting: no part of the training obeys a setting of the runs.
        DataError: files needed for training are damaged.
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
    """Prepare a run for training, which repairs damaged files (``RunStore.begin``). Returns the step to resume from."""
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
