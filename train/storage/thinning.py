"""Deletion of snapshots, or of a whole run. The caller of ``drop_snapshots`` holds the run's lock."""

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from train.errors import DataError, MissingFile, UsageError

from .documents import sealed
from .files import is_there, own_folder, sync_folder, write_atomic, write_json
from .locking import held
from .manifest import FOLDER, NAME, Entries, file_of, render_manifest, snapshots_beside
from .reading import RunReader
from .resume import NEWEST, PREVIOUS, pack_resume, read_resume


def kept_every(steps: Collection[int], every: int) -> list[int]:
    """The first step, every ``every``-th step after the first, and the last step."""
    ordered = sorted(steps)
    return sorted({*ordered[::every], *ordered[-1:]})


def drop_snapshots(reader: RunReader, steps: Iterable[int]) -> None:
    """Delete snapshots. The remaining files are consistent at every moment, so a kill does not damage the run.

    First the snapshot counts in ``DONE`` and the resume states are lowered, then the manifest is replaced, and only
    then files are deleted. Snapshot files that the manifest does not list, left by a killed process, are deleted too.

    Raises:
        UsageError: there is no snapshot at one of the steps, or none would remain.
        DataError: files of the run are damaged; nothing was deleted.
    """
    own_folder(reader.path / FOLDER)
    entries, dropped = reader.manifest(), set(steps)
    check_drop(reader.path, entries, dropped)
    remaining = {step: entry for step, entry in entries.items() if step not in dropped}
    _lower_counts(reader, remaining)
    write_atomic(reader.path / NAME, render_manifest(remaining, reader.run_id))
    reader.know_entries(remaining)
    for step in sorted({*dropped, *strays(reader.path, remaining)}):
        (reader.path / file_of(step)).unlink(missing_ok=True)


def check_drop(path: Path, steps: Collection[int], dropped: Collection[int]) -> None:
    """Refuse to delete snapshots that do not exist, or all snapshots of a run.

    Raises:
        UsageError: there is no snapshot at one of the steps, or none would remain.
    """
    missing = sorted(set(dropped) - set(steps))
    if missing:
        there = f"its last one is at {max(steps):,}" if steps else "it has none"
        raise UsageError(f"{path} has no snapshot at step {missing[0]:,}; {there}")
    if dropped and set(dropped) == set(steps):
        raise UsageError(f"{path} would have no snapshot left: keep one, or delete the run")


def strays(path: Path, entries: Entries) -> list[int]:
    """Steps of snapshot files that the manifest does not list."""
    try:
        return [step for step in snapshots_beside(path) if step not in entries]
    except MissingFile:
        return []


def _lower_counts(reader: RunReader, remaining: Entries) -> None:
    """Lower the snapshot counts in ``DONE`` and the resume states to the remaining snapshots.

    Raises:
        DataError: one of these files is damaged; nothing was written.
    """
    writes: list[tuple[Path, Any]] = []
    for name in (PREVIOUS, NEWEST):
        home = reader.path / name
        if is_there(home):
            resume = read_resume(home, reader.run_id, old=False)
            witness, kept = resume.witness, resume.kept
            if witness is None or kept is None:
                raise DataError(f"{home} is of an older format than its run")
            counts = {"snapshots": _up_to(remaining, witness.step), "sessions": witness.sessions}
            data = pack_resume(resume.tensors, reader.run_id, resume.state, kept, witness.logged, counts)
            writes.append((home, data))
    if is_there(reader.path / "DONE"):
        done = reader.read_done()[0]
        writes.append((reader.path / "DONE", sealed({**done, "snapshots": _up_to(remaining, done["step"])})))
    for home, content in writes:
        if isinstance(content, bytes):
            write_atomic(home, content)
        else:
            write_json(home, content)


def _up_to(entries: Entries, step: int) -> int:
    return sum(saved <= step for saved in entries)


def delete_run(path: Path) -> None:
    """Delete a run's directory; links inside are removed and not followed.

    Raises:
        UsageError: ``path`` is a link or not a run.
        Busy: a process is training the run.
        OSError: a file cannot be deleted.
    """
    if path.is_symlink() or not is_there(path / "run.json"):
        raise UsageError(f"{path} is {'a link' if path.is_symlink() else 'not a run'}: nothing was deleted")
    doomed = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if os.name == "nt":  # an open lock keeps its folder from being renamed
        with held(path):
            pass
        path.rename(doomed)
    else:
        with held(path):
            path.rename(doomed)  # so that an interrupted deletion never leaves half a run under its name
    sync_folder(path.parent)
    shutil.rmtree(doomed)
