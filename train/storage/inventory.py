"""The runs in a folder: what each is, how far it is trained, and how many bytes it takes."""

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
"""The file that makes a folder a sweep's, whose runs lie in it."""
OTHERS = ("scaling",)
"""Beginnings of the formats of other results that have a ``run.json``."""


@dataclass(frozen=True)
class Item:
    """A run in a folder.

    Attributes:
        path: its directory.
        state: "done", "running", "resumable", "unfinished" (no resume state: training starts at step 0), "imported" or
            "damaged".
        step: the last step that was logged, or of its last snapshot where there is no log; None where unknown.
        steps: the number of steps asked for; None where unknown.
        snapshots: the steps of its snapshots, rising.
        n_bytes: bytes of all its files.
        fault: what is damaged, in a line; None where nothing was found, which is no verification of every file.
    """

    path: Path
    state: str
    step: int | None
    steps: int | None
    snapshots: tuple[int, ...]
    n_bytes: int
    fault: str | None = None


def runs_in(folder: Path) -> list[Path]:
    """Directories of the runs in a folder, and in the sweeps in it, by name. Links are not followed."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        if is_run(path):
            found.append(path)
        elif (path / SWEEP).is_file():
            found += [inner for inner in sorted(path.iterdir()) if not inner.is_symlink() and is_run(inner)]
    return found


def is_run(path: Path) -> bool:
    """Whether a directory is a run's, readable or not; a simulation's is not."""
    if not is_there(path / "run.json"):
        return False
    try:
        about = read_json(path / "run.json")
    except (OSError, ValueError):
        return True
    kind = about.get("format") if isinstance(about, dict) else None
    return not (isinstance(kind, str) and kind.startswith(OTHERS))


def inspect(path: Path) -> Item:
    """What can be told of a run without reading its tensors and its log."""
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
    """Whether a process holds a run's lock. A run without a ``LOCK`` file is not made to have one."""
    home = path / "LOCK"
    with contextlib.suppress(DataError, OSError):
        check_plain(home)
        home.stat()  # no lock, no process
        lock = FileLock(home, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
    return False


def size_of(path: Path) -> int:
    """Bytes of the files below a directory; links count as themselves."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):  # a file that is being replaced
                total += Path(folder, name).lstat().st_size
    return total
