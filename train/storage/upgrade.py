"""Upgrade of runs in the older format, whose files have no checksums; every number stays bit for bit the same.

Each file's format is evident from its content, and ``run.json`` is rewritten last, so the next upgrade completes an
interrupted one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from train.errors import DataError

from .documents import FORMAT, sealed
from .files import is_there, read_regular, write_atomic, write_json
from .log import Log, parse_log
from .manifest import (
    NAME,
    Entries,
    pack_snapshot,
    read_lone_snapshot,
    read_manifest,
    read_snapshot,
    render_manifest,
    write_snapshot,
)
from .resume import NEWEST, ResumeState, pack_resume, read_resume


def upgrade(path: Path, run: str, info: Mapping[str, Any], most_log: int) -> None:
    """Rewrite every file of the run in the directory ``path``. A snapshot that cannot be read stays as it is.

    Args:
        path: the run's directory, whose lock the caller holds.
        run: the run's id.
        info: the content of ``run.json``.
        most_log: upper limit on the bytes of the log.

    Raises:
        DataError: the resume state or the log cannot be read; nothing was written.
    """
    entries = read_manifest(path, run, old=True) if is_there(path / NAME) else {}
    log_home = path / "log.jsonl"
    log = parse_log(read_regular(log_home, most_log), run, old=True) if is_there(log_home) else Log(run)
    resume = read_resume(path / NEWEST, run, old=True) if is_there(path / NEWEST) else None
    if resume is not None:
        try:
            resume.rows_kept(log)
        except ValueError as error:
            raise DataError(f"{log_home} {error}; nothing was trained") from error
    (path / "DONE").unlink(missing_ok=True)
    entries = {step: _snapshot(path, run, entry) for step, entry in entries.items()}
    log = _log(log_home, log, run)
    if resume is not None:
        _resume(path, run, resume, log, entries, len(info["sessions"]))
    if entries:
        write_atomic(path / NAME, render_manifest(entries, run))
    write_json(path / "run.json", sealed({**info, "format": FORMAT, "run": run}))


def _snapshot(path: Path, run: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite a snapshot. Returns its entry in the new manifest."""
    try:
        tensors = _tensors(path, run, entry)
    except DataError:
        return dict(entry)
    data, new = pack_snapshot(entry["step"], tensors, run)
    if new != entry:
        write_snapshot(path, entry["step"], data)
    return new


def _tensors(path: Path, run: str, entry: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        return read_snapshot(path, entry, run, old=True)
    except DataError:  # rewritten already, by an upgrade that was cut off
        return read_lone_snapshot(path, entry["step"], run)[0]


def _log(home: Path, log: Log, run: str) -> Log:
    """Rewrite the log with checksums. Returns its new content."""
    if not log.is_old:
        return log
    data, _ = Log(run).end().lines(log.rows, home)
    write_atomic(home, data)
    return parse_log(data, run, old=False)


def _resume(path: Path, run: str, resume: ResumeState, log: Log, entries: Entries, sessions: int) -> None:
    if resume.kept is not None:
        return
    step = resume.state["step"]
    counts = {"snapshots": sum(s <= step for s in entries), "sessions": sessions}
    kept = log.mark_at(log.rows_before(step))
    write_atomic(path / NEWEST, pack_resume(resume.tensors, run, resume.state, kept, log.mark, counts))
