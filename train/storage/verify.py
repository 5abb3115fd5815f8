"""Verification of a run: every file is checked by its checksum and against the records in other files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from train.errors import DataError, UsageError

from .files import is_there
from .reading import RunReader
from .resume import NEWEST, PREVIOUS, read_resume
from .store import RunStore
from .thinning import strays


def faults_of(path: Path) -> list[str]:
    """The damage in the run in ``path``, one line each; empty if every file is as it was written.

    A run in the older format, whose files have no checksums, is checked as far as possible.
    """
    reader = RunReader(path)
    faults: list[str] = []

    def check(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (DataError, UsageError, OSError) as error:
            faults.extend([str(error)] if str(error) not in faults else [])
            return None

    if check(lambda: reader.info) is None:
        return faults
    check(reader.check_sessions)
    check(reader.done_step)
    entries = check(reader.manifest) or {}
    for step in entries:
        check(lambda step=step: reader.snapshot(step))
    for step in check(lambda: strays(path, entries)) or []:
        faults.append(f"{path} has a snapshot of step {step} that its manifest does not list")
    check(reader.whole_log)
    for name in (NEWEST, PREVIOUS):
        if is_there(path / name):
            check(lambda name=name: read_resume(path / name, reader.run_id, old=reader.is_old))
    check(reader.point)
    check(RunStore(path).load_split)
    return faults
