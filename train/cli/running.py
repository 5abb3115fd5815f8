"""Training of a request with a progress display, shared by the command and ``train.train``."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import find_device, threads_set
from .command import signals
from .request import Request
from .terminal import remark

if TYPE_CHECKING:
    from train.storage.store import RunStore

Signals = Callable[[], contextlib.AbstractContextManager[Callable[[], int | None]]]
"""A factory of the signal-handling context; see ``train.cli.command.signals``."""


def train_request(
    request: Request, command: Sequence[str], tell: Callable[[str], None], noted: Signals = signals
) -> "list[tuple[RunStore, Exception | None]]":
    """Train every run of a request, side by side. Returns each run and the error that ended it, if any.

    Args:
        request: the runs and the options, such as folder, device and threads.
        command: the command line recorded in ``run.json``.
        tell: prints a line about a run.
        noted: makes the context that records signals.

    Raises:
        UsageError, DataError, Stopped, OSError: as ``train.engine.session.opened`` and ``Session.train``.
    """
    from train.engine.session import opened

    from .display import Display, summary

    options = request.options
    device = find_device(options.device)
    with threads_set(options.threads, device), opened(request.configs, options.out, device, command) as session:
        name = _namer(len(request.configs), options.quiet, tell)
        for path, step in session.finished.items():
            name(path, f"already trained to step {step:,}; nothing to do (a larger --steps goes on from there)")
        for line in session.notes:
            remark(line)
        errors = {}
        if session.trainees:
            with noted() as poll, Display(session, quiet=options.quiet) as display:
                errors = session.train(progress=display.show, stop_signal=poll)
        if len(session.stores) > 1 or not errors:
            for store in session.stores:
                name(store.path, summary(store.read_log()))
        return [(store, errors.get(store.path)) for store in session.stores]


def _namer(n_runs: int, quiet: bool, tell: Callable[[str], None]) -> Callable[[Path, str], None]:
    """A function that prints a line about a run, prefixed with the run's name if there are several."""

    def name(path: Path, line: str) -> None:
        if not quiet:
            tell(line if n_runs == 1 else f"{path.name}: {line}")

    return name
