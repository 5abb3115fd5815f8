"""Resume states: the tensors of a run in the middle of its training, in two generations.

A state says how far the log went (``kept``: the rows that training goes on from; ``logged``: all there were), and how
many snapshots and sessions there were, so that an older generation of another file does not pass for the newest one.
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
    """A resume state; ``kept`` and ``witness`` are None for a state of the older format."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    kept: Mark | None
    witness: Witness | None

    def rows_kept(self, log: Log) -> int:
        """Number of rows of ``log`` that training resumes from.

        Raises:
            ValueError: rows are missing, or are not those that the state was saved after.
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
        MissingFile: a DataError; there is no such file.
        DataError: the file is damaged, or another run's.
    """
    tensors, found = unpack(read_whole(home), home, "resume", old=old)
    if "sha256" not in found:
        return ResumeState(tensors, found, None, None)
    check_run(found["run"], run, home)
    state = found["state"]
    witness = Witness(home, state["step"], Mark(**found["logged"]), found["snapshots"], found["sessions"])
    return ResumeState(tensors, state, Mark(**found["kept"]), witness)


def pack_resume(
    tensors: Mapping[str, Tensor], run: str, state: dict[str, Any], kept: Mark, logged: Mark, counts: dict[str, int]
) -> bytes:
    """The bytes of a resume state; ``counts`` has the numbers of snapshots (up to its step) and sessions."""
    marks = {"kept": vars(kept), "logged": vars(logged)}
    return pack(tensors, {"kind": "resume", "run": run, "state": state, **marks, **counts})


def write_resume(path: Path, data: bytes) -> None:
    """Make ``data`` the newest state in the directory ``path``, and keep the newest so far as the previous one.

    The order leaves a whole state whatever happens: the new one is on the disk under a name of its own before the old
    one is renamed, and renaming replaces in one step.
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
