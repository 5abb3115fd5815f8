"""Records about a run's other files in ``DONE`` or a resume state, and the check that the files match."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .log import Log, Mark


@dataclass(frozen=True)
class Witness:
    """A record about a run's other files, made when ``DONE`` or a resume state was written.

    Attributes:
        home: the file that holds the record.
        step: updates done at that time.
        logged: end of the log at that time.
        snapshots: number of snapshots in the manifest up to that step.
        sessions: number of sessions in run.json.
        is_last: whether the run was done, so that no log row may follow.
    """

    home: Path
    step: int
    logged: Mark
    snapshots: int
    sessions: int
    is_last: bool = False

    def fault_of_sessions(self, n_sessions: int) -> str | None:
        """The error message for a ``run.json`` with too few sessions; None if the number is consistent."""
        if n_sessions >= self.sessions:
            return None
        home = self.home.with_name("run.json")
        return f"{home} records {n_sessions} sessions where {self.home.name} knows of {self.sessions}: it is older"

    def fault_of_manifest(self, steps: Iterable[int]) -> str | None:
        """The error message for a manifest with too few snapshots; None if the number is consistent."""
        n = sum(step <= self.step for step in steps)
        if n >= self.snapshots:
            return None
        home, known = self.home.with_name("manifest.json"), f"{self.home.name} knows of {self.snapshots}"
        return f"{home} has {n} snapshots up to step {self.step} where {known}: it is older"

    def fault_of_log(self, log: Log) -> str | None:
        """The error message for a damaged or inconsistent log; None for a consistent one."""
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
