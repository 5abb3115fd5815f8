"""Reading of a run's directory; every file is verified by its checksum and against the records in other files."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from train.config.run import RunConfig
from train.errors import DataError, MissingFile, MissingStep

from .documents import OLD_DONE, OLD_RUN, SEALED_DONE, SEALED_RUN, check_run, digest, read_document
from .files import is_there, read_regular, signature
from .log import ROW_BYTES, Log, Mark, parse_log
from .manifest import NAME, Entries, read_manifest, read_snapshot, snapshots_beside
from .resume import NEWEST, PREVIOUS, ResumeState, read_resume
from .witness import Witness

LEAST_ROWS = 1_000_000
"""Rows that a log may have whatever the config says, since the log grows before the config's steps are raised."""
TRIES = 3
"""Attempts to read a file that another process may be writing."""


@dataclass(frozen=True)
class Point:
    """The point from which training resumes: a resume state and the log rows before it.

    Attributes:
        home: the file of the resume state.
        resume: the resume state.
        rows: number of log rows to keep.
        faults: one line for each newer resume state that is not usable.
    """

    home: Path
    resume: ResumeState
    rows: int
    faults: tuple[str, ...] = ()


def run_id_of(info: dict[str, Any], config: RunConfig) -> str:
    """The run id that every file of a run records; for imports, whose config is partial, it includes the origin."""
    if "origin" not in info:
        return config.run_id
    return f"imported-{digest({'config': info['config'], 'origin': info['origin']})[:16]}"


@dataclass
class RunReader:
    """Reads the files of the run in ``path`` and caches their content until the files change."""

    path: Path
    kept: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Cached content by name, with the signatures of the files from which it was read."""

    def _remember(self, name: str, files: tuple[str, ...], read: Callable[[], Any]) -> Any:
        """The result of ``read()``, cached until one of the files changes."""
        now = tuple(signature(self.path / file) for file in files)
        if name not in self.kept or self.kept[name][0] != now:
            self.kept[name] = (now, read())
        return self.kept[name][1]

    # ---- run.json --------------------------------------------------------------------------------

    def _read_info(self) -> tuple[dict[str, Any], RunConfig, str, bool]:
        home = self.path / "run.json"
        info, is_sealed = read_document(home, "run", SEALED_RUN, OLD_RUN)
        try:
            config = RunConfig.from_dict(info["config"])
            run = run_id_of(info, config)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{home} holds no valid config: {error}") from error
        if is_sealed and info["run"] != run:
            raise DataError(f"{home} is damaged: its config is that of run {run}, and it names {info['run']}")
        return info, config, run, is_sealed

    def _info(self) -> tuple[dict[str, Any], RunConfig, str, bool]:
        return self._remember("run.json", ("run.json",), self._read_info)

    @property
    def info(self) -> dict[str, Any]:
        """Contents of ``run.json``, without its seal."""
        return self._info()[0]

    @property
    def config(self) -> RunConfig:
        """The run's config; in an imported run, unknown settings have their reference values."""
        return self._info()[1]

    @property
    def run_id(self) -> str:
        """The run id that every file of the run records."""
        return self._info()[2]

    @property
    def is_old(self) -> bool:
        """Whether the run has the older format, in which files have no checksums."""
        return not self._info()[3]

    # ---- consistency between files ---------------------------------------------------------------

    def _read_witness(self) -> Witness | None:
        home = self.path / "DONE"
        if is_there(home):
            done, is_sealed = self.read_done()
            if not is_sealed:
                return None
            counts = done["snapshots"], done["sessions"]
            return Witness(home, done["step"], Mark(**done["log"]), *counts, is_last=True)
        for name in (NEWEST, PREVIOUS):
            try:
                return read_resume(self.path / name, self.run_id, old=self.is_old).witness
            except DataError:  # not needed for reading; training reports the damage
                continue
        return None

    def witness(self) -> Witness | None:
        """The record of the other files in ``DONE``, or else in the newest valid resume state, if any.

        Raises:
            DataError: DONE is damaged.
        """
        return self._remember("witness", ("run.json", "DONE", NEWEST, PREVIOUS), self._read_witness)

    def _consistent(self, read: Callable[[], Any], fault: Callable[[Witness, Any], str | None]) -> Any:
        """The result of ``read()``, checked against the witness; repeated if another process has written meanwhile."""
        problem = None
        for _ in range(TRIES):
            witness = self.witness()
            content = read()
            problem = None if witness is None else fault(witness, content)
            if problem is None:
                return content
            if self.witness() == witness:
                break
        raise DataError(problem)

    def check_sessions(self) -> None:
        """Refuse a ``run.json`` that is older than the other files.

        Raises:
            DataError: another file records more sessions.
        """
        self._consistent(lambda: len(self.info["sessions"]), Witness.fault_of_sessions)

    # ---- DONE ------------------------------------------------------------------------------------

    def read_done(self) -> tuple[dict[str, Any], bool]:
        """Contents of ``DONE`` without the seal, and whether the file is sealed."""
        home = self.path / "DONE"
        done, is_sealed = read_document(home, "done", SEALED_DONE, OLD_DONE if self.is_old else None)
        if is_sealed:
            check_run(done["run"], self.run_id, home)
        return done, is_sealed

    def done_step(self) -> int | None:
        """Step at which the run finished; None if the run is not finished."""
        try:
            return self.read_done()[0]["step"]
        except MissingFile:
            if is_there(self.path / "DONE"):
                raise
            return None

    def says_split(self) -> bool:
        """Whether ``DONE`` records that a split was saved."""
        return is_there(self.path / "DONE") and self.read_done()[0].get("split", False)

    # ---- snapshots -------------------------------------------------------------------------------

    def entries(self) -> Entries:
        """The manifest, verified by its own checksum.

        Raises:
            DataError: the manifest is damaged, that of another run, or missing although there are snapshots.
        """
        return self._remember(NAME, ("run.json", NAME), self._read_entries)

    def _read_entries(self) -> Entries:
        try:
            return read_manifest(self.path, self.run_id, old=self.is_old)
        except MissingFile:
            beside = self._beside()
            if not beside:
                return {}
        how = self.restart()
        raise DataError(
            f"{self.path / NAME} is missing beside {len(beside)} snapshots: run the training command again, which "
            f"rebuilds it from those that verify{f' ({how})' if how else ''}"
        )

    def know_entries(self, entries: Entries) -> None:
        """Cache a manifest that was just written, so that it is not parsed again."""
        self.kept[NAME] = (tuple(signature(self.path / file) for file in ("run.json", NAME)), entries)

    def _beside(self) -> list[int]:
        try:
            return snapshots_beside(self.path)
        except MissingFile:
            return []

    def manifest(self) -> Entries:
        """The manifest, verified by its own checksum and against the other files."""
        return self._consistent(self.entries, Witness.fault_of_manifest)

    def snapshot(self, step: int) -> dict[str, Tensor]:
        """Weights at a step.

        Raises:
            MissingStep: the manifest lists no snapshot at the step.
            DataError: the snapshot is damaged.
        """
        entries = self.entries()
        if step not in entries:
            raise MissingStep(f"no snapshot at step {step} in {self.path}: its manifest lists {len(entries)} others")
        return read_snapshot(self.path, entries[step], self.run_id, old=self.is_old)

    def newest_good_snapshot(self) -> int | None:
        """The largest step whose snapshot can be read."""
        try:
            steps = list(self.entries())
        except DataError:
            return None
        for step in reversed(steps):
            try:
                self.snapshot(step)
            except DataError:
                continue
            return step
        return None

    # ---- the log ---------------------------------------------------------------------------------

    def log_limit(self) -> int:
        """Upper limit on the bytes of the log."""
        return ROW_BYTES * (max(self.config.schedule.steps, LEAST_ROWS) + 2)

    def log(self) -> Log:
        """The content of the log, up to the first damaged line."""
        return self._remember("log.jsonl", ("run.json", "log.jsonl"), self._read_log)

    def forget_log(self) -> None:
        """Free the memory of the log's rows."""
        self.kept.pop("log.jsonl", None)

    def _read_log(self) -> Log:
        home = self.path / "log.jsonl"
        if not is_there(home):
            return Log(self.run_id)
        return parse_log(read_regular(home, self.log_limit()), self.run_id, old=self.is_old)

    def whole_log(self) -> Log:
        """The log, verified by its own checksums and against the other files; a torn last line is left out.

        Raises:
            DataError: a line is damaged or missing; the message names the first.
        """
        log = self._consistent(self.log, Witness.fault_of_log)
        if log.fault is not None:
            raise DataError(f"{self.path / 'log.jsonl'} line {log.fault[0]} {log.fault[1]}")
        return log

    # ---- resume states ---------------------------------------------------------------------------

    def point(self) -> Point | None:
        """The point to resume from: the newest resume state that verifies together with its log rows.

        None if the run has no resume state.

        Raises:
            DataError: the run has resume states, but none verifies; the message says how to start again.
        """
        faults: list[str] = []
        names = [name for name in (NEWEST, PREVIOUS) if is_there(self.path / name)]
        if names == [PREVIOUS]:
            faults.append(f"{self.path / NEWEST} is missing")
        for name in names:
            home = self.path / name
            try:
                resume = read_resume(home, self.run_id, old=self.is_old)
                return Point(home, resume, self._rows_kept(resume), tuple(faults))
            except DataError as error:
                faults += [str(error)] if str(error) not in faults else []
        if not names:
            return None
        raise DataError(f"{self.path} cannot be trained on: {'; '.join(faults)}. {self._way_out(names)}")

    def _rows_kept(self, resume: ResumeState) -> int:
        try:
            return resume.rows_kept(self.log())
        except ValueError as error:
            raise DataError(f"{self.path / 'log.jsonl'} {error}") from error

    def _way_out(self, names: list[str]) -> str:
        step = self.newest_good_snapshot()
        good = "no snapshot is good either" if step is None else f"the newest good snapshot is of step {step:,}"
        states = " ".join(shlex.quote(str(self.path / name)) for name in names)
        how = f"rm {states} && {self.restart() or 'the training command'}"
        return f"Nothing was trained; {good}. To train from step 0 on, compared with what is there: {how}"

    def restart(self) -> str | None:
        """The command of the last session, or None if there is none."""
        sessions = self.info["sessions"]
        return sessions[-1].get("command") if sessions else None
