"""An inventory of the runs in a folder: state, progress and size of each."""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from train.errors import DataError

from .files import check_plain, is_there
from .json_files import loads, read_json
from .log import ROW_BYTES
from .reading import RunReader

SWEEP = "sweep.json"
"""The file that marks a folder as a sweep, which contains runs."""
OTHERS = ("scaling",)
"""Prefixes of ``format`` in the ``run.json`` of other kinds of results."""


@dataclass(frozen=True)
class Item:
    """A run in a folder.

    Attributes:
        path: the run's directory.
        state: "done", "running", "resumable", "unfinished" (no resume state: training starts at step 0), "imported" or
            "damaged".
        step: the last logged step, or that of the last snapshot if there is no log; None if unknown.
        steps: the configured number of steps; None if unknown.
        snapshots: the steps of the snapshots, in order.
        n_bytes: bytes of all files.
        fault: the damage, in one line; None if no damage was seen, although not every file has been verified.
    """

    path: Path
    state: str
    step: int | None
    steps: int | None
    snapshots: tuple[int, ...]
    n_bytes: int
    fault: str | None = None


def runs_in(folder: Path) -> list[Path]:
    """Directories of the runs in a folder and in its sweeps, by name; links are not followed."""
    runs: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        if is_run(path):
            runs.append(path)
        elif (path / SWEEP).is_file():
            runs += [inner for inner in sorted(path.iterdir()) if not inner.is_symlink() and is_run(inner)]
    return runs


def is_run(path: Path) -> bool:
    """Whether a directory is a run, readable or not; a simulation is not a run."""
    if not is_there(path / "run.json"):
        return False
    try:
        about = read_json(path / "run.json")
    except (OSError, ValueError):
        return True
    kind = about.get("format") if isinstance(about, dict) else None
    return not (isinstance(kind, str) and kind.startswith(OTHERS))


def inspect(path: Path) -> Item:
    """The inventory entry of a run, without reading the tensors or the log."""
    reader, n_bytes = RunReader(path), size_of(path)
    try:
        config, entries, done = reader.config, reader.entries(), reader.done_step()
    except DataError as error:
        return Item(path, "damaged", None, None, (), n_bytes, str(error))
    snapshots = tuple(entries)
    step = done if done is not None else _last_logged(path)
    if step is None:
        step = max(snapshots, default=None)
    state = "done" if done is not None else "resumable" if _has_state(path) else "unfinished"
    if is_held(path):
        state = "running"
    elif "origin" in reader.info:
        state = "imported"
    return Item(path, state, step, config.schedule.steps, snapshots, n_bytes)


def _has_state(path: Path) -> bool:
    return any(is_there(path / name) for name in ("resume.safetensors", "resume.previous.safetensors"))


def _last_logged(path: Path) -> int | None:
    """The step of the last whole row of a log."""
    home = path / "log.jsonl"
    try:
        size = home.lstat().st_size
        if not stat.S_ISREG(home.lstat().st_mode):
            return None
        with home.open("rb") as file:
            file.seek(max(0, size - 2 * ROW_BYTES))
            rows = file.read(2 * ROW_BYTES).split(b"\n")[:-1]
        return loads(rows[-1], 100)["step"] if rows else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Whether a process holds a run's lock; a missing ``LOCK`` file is not created."""
    home = path / "LOCK"
    with contextlib.suppress(DataError, OSError):
        check_plain(home)
        home.stat()  # raises if there is no lock file, which FileLock would create
        lock = FileLock(home, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
    return False


def size_of(path: Path) -> int:
    """Total bytes of the files below a directory; a link counts with its own size."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):  # a training process may have just replaced the file
                total += Path(folder, name).lstat().st_size
    return total
