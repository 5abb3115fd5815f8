"""What ``DONE`` or a resume state records about a run's other files, and whether those files agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .log import Log, Mark


@dataclass(frozen=True)
class Witness:
    """What a file recorded about the other files when it was written.

    Attributes:
        home: the file.
        step: updates done by then.
        logged: how far the log went.
        snapshots: how many of them up to that step the manifest had.
        sessions: how many run.json had.
        is_last: whether nothing was logged after it, for it says that the run is done.
    """

    home: Path
    step: int
    logged: Mark
    snapshots: int
    sessions: int
    is_last: bool = False

    def fault_of_sessions(self, n_sessions: int) -> str | None:
        """The fault of a ``run.json`` with this number of sessions; None where there is none."""
        if n_sessions >= self.sessions:
            return None
        home = self.home.with_name("run.json")
        return f"{home} records {n_sessions} sessions where {self.home.name} knows of {self.sessions}: it is older"

    def fault_of_manifest(self, steps: Iterable[int]) -> str | None:
        """The fault of a manifest of snapshots at these steps; None where there is none."""
        n = sum(step <= self.step for step in steps)
        if n >= self.snapshots:
            return None
        home, known = self.home.with_name("manifest.json"), f"{self.home.name} knows of {self.snapshots}"
        return f"{home} has {n} snapshots up to step {self.step} where {known}: it is older"

    def fault_of_log(self, log: Log) -> str | None:
        """The fault of a log; None where there is none."""
        home, rows = self.home.with_name("log.jsonl"), self.logged.rows
        if log.fault is not None:
            return f"{home} line {log.fault[0]} {log.fault[1]}"
        if len(log.rows) < rows:
            return f"{home} has {len(log.rows)} whole rows where {self.home.name} knows of {rows}: some are missing"
        if log.mark_at(rows) != self.logged:
            return f"{home} is not the log that {self.home.name} was written after"
        if self.is_last and (len(log.rows) > rows or log.torn):
            return f"{home} goes on after the {rows} rows that {self.home.name} was written after"
        return None
