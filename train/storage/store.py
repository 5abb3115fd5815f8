"""A run on disk: snapshots, resume states, log, manifest and lock; every file is verified when it is read.

``run.json`` config and provenance · ``log.jsonl`` one row per step · ``steps/*.safetensors`` weights, written
once · ``manifest.json`` list of the valid snapshots · ``resume.safetensors`` the latest resume state,
``resume.previous.safetensors`` the previous one · ``LOCK`` · ``DONE``. Each kind of file has a module in
``train.storage``.
"""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from train.config.run import RunConfig
from train.config.settings import override
from train.errors import DataError, UsageError

from .documents import FORMAT, SESSION, STATE, sealed
from .files import is_there, sync_folder, write_atomic, write_json
from .locking import held, is_unborn
from .log_file import LogFile
from .manifest import NAME, Entries, file_of, pack_snapshot, render_manifest, write_snapshot
from .mending import mend
from .reading import RunReader
from .resume import pack_resume, write_resume
from .split import NAME as SPLIT
from .split import read_split, write_split
from .strict import checked
from .tensors import same_bits
from .thinning import drop_snapshots
from .upgrade import upgrade

Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""A resume state: tensors, and a JSON-serialisable dictionary (step, wall_s, rule)."""


class RunStore:
    """Reads and writes one run's directory. Only the holder of ``lock()`` may write.

    Attributes:
        path: the directory.
        notes: one line per repaired damage, shown to the user and recorded with the session.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._reader = RunReader(path)
        self._log = LogFile(self._reader)

    # ---- the run itself --------------------------------------------------------------------------

    @staticmethod
    def create(root: Path, config: RunConfig) -> "RunStore":
        """The store of ``config`` under ``root``, created if it does not exist.

        Raises:
            UsageError: the directory exists but holds another run, or is not a run.
            DataError: ``run.json`` is damaged.
        """
        store = RunStore(root / config.run_id)
        if is_there(store.path / "run.json"):
            on_disk = store.config
            if "origin" in store.info:
                raise UsageError(
                    f"{store.path} holds an imported model, which cannot be trained on: choose another --out"
                )
            if on_disk.identity != config.identity:
                raise UsageError(
                    f"{store.path} holds a run with another config (on disk {on_disk.identity}; asked for "
                    f"{config.identity}): choose another --out, or move that directory away"
                )
            return store
        if store.path.exists() and not is_unborn(store.path):
            raise UsageError(f"{store.path} exists but is not a run: choose another --out, or move it away")
        (store.path / "steps").mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "run": config.run_id, "config": config.to_dict(), "sessions": []}
        write_json(store.path / "run.json", sealed(content))
        return store

    @staticmethod
    def open(path: Path) -> "RunStore":
        """The store of an existing run.

        Raises:
            UsageError: ``path`` is not a run.
            DataError: ``run.json`` cannot be read, or is outdated.
        """
        if not is_there(path / "run.json"):
            raise UsageError(f"{path} is not a run: it has no run.json; runs are made by python -m train.run")
        store = RunStore(path)
        store._reader.check_sessions()
        return store

    @property
    def info(self) -> dict[str, Any]:
        """Contents of ``run.json``."""
        return self._reader.info

    @property
    def config(self) -> RunConfig:
        """The run's config, with the largest ``steps`` requested so far."""
        return self._reader.config

    @property
    def run_id(self) -> str:
        """The run id that every file of the run records; the directory may have another name."""
        return self._reader.run_id

    @property
    def doubt(self) -> str | None:
        """One line saying that the files cannot be verified, if the run has the older format; else None."""
        if not self._reader.is_old:
            return None
        return f"{self.path} is of an older format, whose files carry no checksums of their own: not verified"

    def add_session(self, config: RunConfig, session: dict[str, Any]) -> None:
        """Record a training session (command, versions, machine) in ``run.json``; ``steps`` may grow, never shrink.

        The record includes the ``notes`` of this store.
        """
        self._upgrade()
        session = {**session, "notes": list(self.notes)} if self.notes else session
        steps = max(config.schedule.steps, self.config.schedule.steps)
        home, sessions = self.path / "run.json", [*self.info["sessions"], checked(session, SESSION, "the session")]
        content = {**self.info, "config": override(config, {"steps": steps}).to_dict(), "sessions": sessions}
        write_json(home, sealed(content))

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """A context that holds the run's lock; the system releases the lock if the process dies.

        Raises:
            Busy: another process holds the lock; the message names its pid and host.
            DataError: ``LOCK`` is not a regular file, or ``steps`` is not a folder.
        """
        return held(self.path)

    # ---- snapshots -------------------------------------------------------------------------------

    @property
    def manifest(self) -> Entries:
        """The valid snapshots in order of steps, by step; each entry has step, file, bytes and sha256."""
        return self._reader.manifest()

    @property
    def steps(self) -> list[int]:
        """Steps with a snapshot, in order."""
        return list(self.manifest)

    def save_snapshot(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Save weights at ``step``. An existing snapshot is compared, and rewritten only if it is damaged.

        Raises:
            DataError: the snapshot on disk has other weights.
        """
        data, entry = pack_snapshot(step, tensors, self.run_id)
        entries = self._reader.entries()
        if step in entries:
            self._compare(step, data, entry, tensors)
            return
        write_snapshot(self.path, step, data)
        entries = dict(sorted({**entries, step: entry}.items()))
        write_atomic(self.path / NAME, render_manifest(entries, self.run_id))
        self._reader.know_entries(entries)

    def _compare(self, step: int, data: bytes, entry: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
        try:
            on_disk = self.load_snapshot(step)
        except DataError:
            if self._reader.entries()[step] != entry:
                raise
            write_snapshot(self.path, step, data)  # the new bytes match the manifest's checksum
            return
        if not same_bits(on_disk, tensors):
            raise DataError(
                f"{self.path / file_of(step)} differs from the weights just computed for step {step}: "
                "the run was continued on another machine, thread count or version; start it in another --out"
            )

    def load_snapshot(self, step: int) -> dict[str, Tensor]:
        """Weights at ``step``.

        Raises:
            KeyError: there is no snapshot at that step.
            DataError: the file is missing or does not match the manifest.
        """
        return self._reader.snapshot(step)

    def drop_snapshots(self, steps: Iterable[int]) -> None:
        """Delete the snapshots at these steps; the remaining run stays verifiable, readable and resumable.

        Raises:
            UsageError: there is no snapshot at one of the steps, or none would remain.
            DataError: files of the run are damaged; nothing is deleted then.
        """
        self._upgrade()
        drop_snapshots(self._reader, steps)

    # ---- of imported runs ------------------------------------------------------------------------

    def save_split(self, is_train: Bool[Tensor, " rows"]) -> None:
        """Save the mask of an imported run's training rows, which the config does not determine."""
        write_split(self.path, is_train, self.run_id)

    def load_split(self) -> Bool[Tensor, " rows"] | None:
        """The mask of an imported run's training rows; None if no split was saved.

        Raises:
            DataError: the file cannot be read, or belongs to another run.
        """
        if is_there(self.path / SPLIT) or self._reader.says_split():
            return read_split(self.path, self.run_id, old=self._reader.is_old)
        return None

    # ---- resume state ----------------------------------------------------------------------------

    def begin(self) -> Saved | None:
        """Prepare the run for training. Returns the state to resume from, or None to start at step 0.

        Damage is repaired where possible, with one line in ``notes`` per repair. Log rows after the resume state and
        ``DONE`` are removed. A run in the older format is upgraded.

        Raises:
            DataError: files needed for training cannot be read; nothing was changed.
        """
        self._upgrade()
        point = self._reader.point()
        self.clear_done()
        self.notes += [note for note in mend(self._reader, point) if note not in self.notes]
        self._log.forget()
        return None if point is None else (point.resume.tensors, point.resume.state)

    def _upgrade(self) -> None:
        if not self._reader.is_old:
            return
        doubt = self.doubt
        upgrade(self.path, self.run_id, self.info, self._reader.log_limit())
        self.notes.append(f"{doubt}; upgraded to the format of today")

    def save_resume(self, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Replace the resume state by one file with tensors and ``state``; the previous state is kept as well."""
        step = checked(state, STATE, "the resume state")["step"]
        kept, logged = self._log.end().mark_before(step), self._log.end().marks[1]
        if kept is None:
            log = self._reader.log()
            kept = log.mark_at(log.rows_before(step))
        write_resume(self.path, pack_resume(tensors, self.run_id, state, kept, logged, self._counts(step)))

    def _counts(self, step: int) -> dict[str, int]:
        n_snapshots = sum(saved <= step for saved in self._reader.entries())
        return {"snapshots": n_snapshots, "sessions": len(self.info["sessions"])}

    def load_resume(self) -> Saved | None:
        """The newest resume state that verifies together with its log rows; None if the run has no resume state.

        Nothing on disk is changed.

        Raises:
            DataError: the run has resume states, but none verifies.
        """
        point = self._reader.point()
        return None if point is None else (point.resume.tensors, point.resume.state)

    # ---- log -------------------------------------------------------------------------------------

    def append_log(self, rows: list[dict[str, Any]]) -> None:
        """Append rows in one durable write.

        Raises:
            DataError: a row is not a valid log row, or the log is damaged.
        """
        self._log.append(rows)

    def read_log(self) -> list[dict[str, Any]]:
        """All complete rows; a torn last line is left out.

        Raises:
            DataError: a line is damaged or missing.
        """
        rows = self._reader.whole_log().rows
        self._reader.forget_log()
        return rows

    # ---- done ------------------------------------------------------------------------------------

    def mark_done(self, step: int) -> None:
        """Write ``DONE``, the last file of a run, which records that training reached ``step``."""
        mark, has_split = vars(self._log.end().marks[1]), is_there(self.path / SPLIT)
        content = {"run": self.run_id, "step": step, "log": mark, **self._counts(step), "split": has_split}
        write_json(self.path / "DONE", sealed(content))

    def clear_done(self) -> None:
        """Remove ``DONE``, before a run is extended."""
        if is_there(self.path / "DONE"):
            (self.path / "DONE").unlink()
            sync_folder(self.path)

    @property
    def done_step(self) -> int | None:
        """Step at which the run finished; None if the run is not finished."""
        return self._reader.done_step()
