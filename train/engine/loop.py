"""The training loop: evaluate, save, update, in that order, at steps on a schedule; consumers read files.

One loop trains K runs of one shape side by side, or a single run. There is no device sync between log points.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from train.config.run import RunConfig
from train.errors import DivergedError, Stopped
from train.model.sizes import check_sizes
from train.storage.store import RunStore
from train.storage.tensors import check_like

from .recorder import Recorder
from .schedule import StopRule
from .stack import Stack

RESUME_EVERY_S = 30.0
"""Seconds between refreshes of the resume state."""
REPORT_EVERY_S = 0.25
"""Seconds between reports of progress."""
FLUSH_EVERY = 1000
"""Steps after which losses kept on the device are read at the latest."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run, passed to a callback for display."""

    step: int
    row: dict[str, Any] | None
    """The latest evaluation's log row."""
    last_snapshot: int | None


Runs = Sequence[tuple[RunConfig, RunStore]]


def train(
    config: RunConfig,
    store: RunStore,
    device: torch.device,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    stop_signal: Callable[[], int | None] = lambda: None,
) -> None:
    """Train ``config`` to its last step in the directory ``store``, resuming if the store has a resume state.

    The caller holds ``store.lock()``. On a CPU, with the same machine and library versions, a run that was stopped and
    resumed equals an uninterrupted run bit for bit, whatever the number of threads.

    Raises:
        Stopped: ``stop_signal`` returned a signal's number; everything is saved.
        DivergedError: a loss is not finite; the log up to that step is saved.
        DataError: files of the run are corrupt.
        OSError: a write failed; everything saved before is intact.
    """
    (error,) = train_together(
        [(config, store)], device, progress=lambda reports: progress(reports[0]), stop_signal=stop_signal
    )
    if error is not None:
        raise error


def train_together(
    runs: Runs,
    device: torch.device,
    *,
    progress: Callable[[list[Progress]], None] = lambda _: None,
    stop_signal: Callable[[], int | None] = lambda: None,
    stop: StopRule | None = None,
) -> list[DivergedError | None]:
    """Train runs of one shape side by side, each as ``train`` would. Returns one entry per run: None or its error.

    A run that finishes, meets the rule ``stop`` or diverges leaves the stack; the others continue.

    Raises:
        Stopped, DataError, OSError: as ``train``; after Stopped every run is saved.
    """
    with one_thread_each() as threads:
        loop = _Loop(runs, device, threads, progress, stop)
        while loop.active:
            loop.events()
            if not loop.active:
                break
            signum = stop_signal()
            if signum is not None:
                loop.save_all()
                raise Stopped(signum, max(loop.recorders[i].step for i in loop.active))
            loop.update()
    return loop.errors


@contextlib.contextmanager
def one_thread_each() -> Iterator[int]:
    """BLAS and PyTorch run single-threaded inside our threads, so floating-point sums have a fixed order.

    Yields the number of threads that PyTorch was set to use before.
    """
    import scipy.linalg.cython_blas  # noqa: F401 - numba's matrix products call this BLAS, which can be limited only once it is loaded

    threads = torch.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        torch.set_num_threads(1)
        try:
            yield threads
        finally:
            torch.set_num_threads(threads)


def _weights_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's tensors in a resume state, by their names in the model."""
    return {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}


class _Loop:
    """The state of a training session; ``active`` lists the indices of the runs still in the stack, in stack order."""

    def __init__(
        self,
        runs: Runs,
        device: torch.device,
        threads: int,
        progress: Callable[[list[Progress]], None],
        stop: StopRule | None,
    ) -> None:
        self.progress = progress
        self.recorders = [Recorder(config, store, stop) for config, store in runs]
        self.errors: list[DivergedError | None] = [None] * len(runs)
        self.active = list(range(len(runs)))
        saved = [recorder.resume() for recorder in self.recorders]
        for recorder, tensors in zip(self.recorders, saved, strict=True):
            if tensors is not None:  # before building a model whose size a damaged config may inflate
                check_sizes(recorder.config, _weights_of(tensors), f"the resume state of {recorder.store.path}")
        self.stack = Stack([config for config, _ in runs], device, threads)
        self.losses: list[Tensor] = []
        self.reported_at = 0.0
        for k, (recorder, tensors) in enumerate(zip(self.recorders, saved, strict=True)):
            if tensors is not None:
                check_like(tensors, self.stack.full_state(k), f"the resume state of {recorder.store.path}")
                self.stack.load(k, tensors, recorder.step)

    def events(self) -> None:
        """Evaluate, save and report whatever is due before the current step's update; finished runs leave the stack."""
        now = time.monotonic()
        due = [k for k, i in enumerate(self.active) if self.recorders[i].is_evaluation_due]
        if due:
            self._evaluate(due)
        if now - min(self.recorders[i].saved_at for i in self.active) > RESUME_EVERY_S:
            self.save_all()
        finished = [i for i in self.active if self.recorders[i].is_finished and self.errors[i] is None]
        if now - self.reported_at > REPORT_EVERY_S or finished:
            self.reported_at = now
            self.progress([Progress(r.step, r.row, r.last_snapshot) for r in self.recorders])
        for i in finished:
            self._save(i)
            self.recorders[i].store.mark_done(self.recorders[i].step)
        self._leave(lambda i: i not in finished and self.errors[i] is None)

    def update(self) -> None:
        """One optimiser step of every run; the losses stay on the device."""
        self.losses.append(self.stack.update())
        for i in self.active:
            self.recorders[i].step += 1
        if len(self.losses) >= FLUSH_EVERY:
            self._flush_losses()

    def save_all(self) -> None:
        """Make every log durable up to this step, then replace every resume state."""
        self._flush_losses()
        for i in self.active:
            if self.errors[i] is None:
                self._save(i)

    def _evaluate(self, due: list[int]) -> None:
        self._flush_losses()
        due = [k for k in due if self.errors[self.active[k]] is None]
        for k, scores in zip(due, self.stack.evaluate(due), strict=True):
            i = self.active[k]
            with self._divergence_of(i):
                self.recorders[i].evaluated(
                    scores, weights=lambda k=k: self.stack.model_state(k), save=lambda i=i: self._save(i)
                )

    def _save(self, i: int) -> None:
        self.recorders[i].save_resume(self.stack.full_state(self.active.index(i)))

    def _flush_losses(self) -> None:
        """Pass each recorder its losses since the last flush."""
        if not self.losses:
            return
        columns = torch.stack(self.losses, dim=1).tolist()
        self.losses = []
        for i, values in zip(self.active, columns, strict=True):
            if self.errors[i] is None:
                with self._divergence_of(i):
                    self.recorders[i].losses(values)

    @contextlib.contextmanager
    def _divergence_of(self, i: int) -> Iterator[None]:
        """A context that stores a DivergedError as the error of run ``i``, so that the other runs continue."""
        try:
            yield
        except DivergedError as error:
            self.errors[i] = error

    def _leave(self, stays: Callable[[int], bool]) -> None:
        """Remove the runs for which ``stays`` is false from the stack."""
        kept = [k for k, i in enumerate(self.active) if stays(i)]
        if len(kept) == len(self.active):
            return
        self._flush_losses()
        if kept:
            self.stack.keep(kept)
        self.active = [self.active[k] for k in kept]
