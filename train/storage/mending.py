"""Repair of damaged files before training, each repair reported in one line. The caller holds the run's lock."""

from pathlib import Path

from train.errors import DataError, MissingFile

from .files import is_there, read_regular, write_atomic
from .manifest import NAME, Entries, read_lone_snapshot, render_manifest, snapshots_beside
from .reading import Point, RunReader
from .resume import NEWEST, PREVIOUS, pack_resume, restore_previous


def mend(reader: RunReader, point: Point | None) -> list[str]:
    """Make the files of a run consistent with the ``point`` to resume from. Returns one line per repair.

    Raises:
        DataError: a file that training needs cannot be read.
    """
    notes = _mend_manifest(reader, point)
    if point is None:
        if any(step > 0 for step in reader.entries()):
            notes.append(f"{reader.path} has no resume state: it starts at step 0 again, compared with what is there")
        _cut_log(reader, 0)
        return notes
    witness = point.resume.witness
    fault = None if witness is None else witness.fault_of_sessions(len(reader.info["sessions"]))
    if fault is not None:
        notes.append(f"{fault}; records of sessions are lost")
    step = point.resume.state["step"]
    if point.faults:
        notes.append(f"{'; '.join(point.faults)}: going on from the state before it, of step {step:,}")
        if point.home.name == PREVIOUS:
            restore_previous(reader.path)
    _bear_out(reader, point)
    _cut_log(reader, point.rows)
    return notes


def _mend_manifest(reader: RunReader, point: Point | None) -> list[str]:
    """Rebuild a missing, damaged or outdated manifest from the snapshots that verify."""
    witness = None if point is None else point.resume.witness
    try:
        entries = reader.entries()
        why = None if witness is None else witness.fault_of_manifest(entries)
    except DataError as error:
        why = str(error) if is_there(reader.path / NAME) else f"{reader.path / NAME} is missing"
    if why is None:
        return []
    rebuilt, left_out = _rebuilt(reader.path, reader.run_id)
    write_atomic(reader.path / NAME, render_manifest(rebuilt, reader.run_id))
    lost = f"; left out, for they do not verify: {', '.join(left_out)}" if left_out else ""
    return [f"{why}: rebuilt from {len(rebuilt)} snapshots that verify{lost}"]


def _rebuilt(path: Path, run: str) -> tuple[Entries, list[str]]:
    """Entries of the snapshots that verify by their own checksums, and the steps of those that do not."""
    entries, left_out = {}, []
    try:
        steps = snapshots_beside(path)
    except MissingFile:
        return {}, []
    for step in steps:
        try:
            entries[step] = read_lone_snapshot(path, step, run)[1]
        except DataError:
            left_out.append(f"step {step}")
    return entries, left_out


def _bear_out(reader: RunReader, point: Point) -> None:
    """Update the records of the newest resume state to the log rows, snapshots and sessions that remain.

    Call before dropping log rows, so that a reader never sees fewer rows than a resume state records.
    """
    resume = point.resume
    if resume.witness is None or resume.kept is None:
        return
    n_snapshots = sum(step <= resume.witness.step for step in reader.entries())
    n_sessions = min(resume.witness.sessions, len(reader.info["sessions"]))
    known = {"snapshots": resume.witness.snapshots, "sessions": resume.witness.sessions}
    counts = {"snapshots": min(resume.witness.snapshots, n_snapshots), "sessions": n_sessions}
    if resume.witness.logged == resume.kept and counts == known:
        return
    data = pack_resume(resume.tensors, reader.run_id, resume.state, resume.kept, resume.kept, counts)
    write_atomic(reader.path / NEWEST, data)


def _cut_log(reader: RunReader, rows: int) -> None:
    """Drop all of the log after its first ``rows`` rows."""
    home = reader.path / "log.jsonl"
    try:
        data = read_regular(home, reader.log_limit())
    except MissingFile:
        return
    size = reader.log().ends[rows - 1] if rows else 0
    if size != len(data):
        write_atomic(home, data[:size])
