"""Resume states: weights and optimiser state of a run during training, in two generations.

A state records the length of the log (``kept``: the rows before the state's step; ``logged``: all rows at the time) and
the numbers of snapshots and sessions, so that an outdated version of another file is detected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .documents import check_run
from .files import is_there, sync_folder, write_atomic, write_temporary
from .log import Log, Mark
from .tensors import pack, read_whole, unpack
from .witness import Witness

NEWEST = "resume.safetensors"
PREVIOUS = "resume.previous.safetensors"


@dataclass(frozen=True)
class ResumeState:
    """A resume state; ``kept`` and ``witness`` are None in the older format."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    kept: Mark | None
    witness: Witness | None

    def rows_kept(self, log: Log) -> int:
        """Number of rows of ``log`` to keep on resume.

        Raises:
            ValueError: rows are missing, or differ from those logged before the state was saved.
        """
        step = self.state["step"]
        if self.kept is None:  # the older format has no checksums: the rows before the step must be readable
            rows = log.rows_before(step)
            last = log.rows[rows - 1]["step"] if rows else -1
            is_whole = last == step - 1 or (log.fault is None and rows > 0) or step == 0
        else:
            rows = self.kept.rows
            is_whole = len(log.rows) >= rows and log.mark_at(rows) == self.kept
        if is_whole:
            return rows
        if log.fault is not None and (self.kept is None or log.fault[0] <= self.kept.rows):
            raise ValueError(f"line {log.fault[0]} {log.fault[1]}")
        raise ValueError(f"is not the log that step {step} was trained with: it has {len(log.rows)} whole rows")


def read_resume(home: Path, run: str, *, old: bool) -> ResumeState:
    """A resume state, read and verified.

    Raises:
        MissingFile: there is no such file.
        DataError: the file is damaged, or belongs to another run.
    """
    tensors, metadata = unpack(read_whole(home), home, "resume", old=old)
    if "sha256" not in metadata:
        return ResumeState(tensors, metadata, None, None)
    check_run(metadata["run"], run, home)
    state = metadata["state"]
    witness = Witness(home, state["step"], Mark(**metadata["logged"]), metadata["snapshots"], metadata["sessions"])
    return ResumeState(tensors, state, Mark(**metadata["kept"]), witness)


def pack_resume(
    tensors: Mapping[str, Tensor], run: str, state: dict[str, Any], kept: Mark, logged: Mark, counts: dict[str, int]
) -> bytes:
    """The bytes of a resume state; ``counts`` has the numbers of snapshots (up to the state's step) and sessions."""
    marks = {"kept": vars(kept), "logged": vars(logged)}
    return pack(tensors, {"kind": "resume", "run": run, "state": state, **marks, **counts})


def write_resume(path: Path, data: bytes) -> None:
    """Make ``data`` the newest resume state in the directory ``path``; the current newest becomes the previous one.

    A complete state exists at every moment: the new one is on disk under a temporary name before the old one is
    renamed, and renaming is atomic.
    """
    home = path / NEWEST
    if not is_there(home):
        write_atomic(home, data)
        return
    waiting = write_temporary(home, data)
    home.replace(path / PREVIOUS)
    waiting.replace(home)
    sync_folder(path)


def restore_previous(path: Path) -> None:
    """Replace a damaged newest state by the previous one, so that no later write replaces a good state."""
    (path / PREVIOUS).replace(path / NEWEST)
    sync_folder(path)
