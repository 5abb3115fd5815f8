"""The lock of a run's directory, which prevents two processes from writing to the run."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from train.errors import Busy, DataError

from .files import check_plain, is_there, overwrite, own_folder, read_regular
from .manifest import FOLDER

LARGEST = 1_000_000


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """A context that holds the lock of the run in ``path``; the system releases the lock if the process dies.

    Temporary files that a killed process left behind are removed.

    Raises:
        Busy: another process holds the lock; the message names its pid and host.
        DataError: ``LOCK`` is not a regular file, or ``steps`` is not a folder.
    """
    home = path / "LOCK"
    check_plain(home)
    lock = FileLock(home, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"{path} is being trained by {_holder(home)}: wait for it, or stop it") from None
    try:
        with contextlib.suppress(PermissionError):  # Windows locks the file's first byte for this process as well
            overwrite(home, f"pid {os.getpid()} on {socket.gethostname()}\n".encode())
        _sweep(path)
        yield
    finally:
        lock.release()


def is_unborn(path: Path) -> bool:
    """Whether a directory holds at most the leftovers of a process that was killed while creating the run."""
    steps = path / FOLDER
    rest = [p for p in path.iterdir() if p != steps and p.name != "LOCK" and not p.match(".*.tmp")]
    return not rest and (not steps.exists() or steps.is_dir() and not any(steps.iterdir()))


def _sweep(path: Path) -> None:
    steps = [own_folder(path / FOLDER)] if is_there(path / FOLDER) else []
    for folder in (path, *steps):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()


def _holder(home: Path) -> str:
    """The holder of a lock, as named in the lock file."""
    try:
        words = read_regular(home, LARGEST)[:200].decode(errors="replace").split()
    except DataError:
        words = []
    return "".join(c for c in " ".join(words) if c.isprintable()) or "another process"
