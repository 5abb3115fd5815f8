"""A run on disk: snapshots, resume state, log, manifest and lock.

``run.json`` config and provenance · ``log.jsonl`` one row a step · ``steps/*.safetensors`` weights, written
once · ``manifest.json`` what a reader may trust · ``resume.safetensors`` latest state · ``LOCK`` · ``DONE``.
"""

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from filelock import FileLock, Timeout
from jaxtyping import Bool
from torch import Tensor

from .config import RunConfig
from .errors import Busy, DataError, UsageError
from .files import sync_folder, write_atomic, write_json
from .settings import from_json, override

FORMAT = 1
MAX_HEADER = 1_000_000
"""Longest safetensors header that is read, in bytes."""


class RunStore:
    """Reads and writes one run's directory. Writing is for the holder of ``lock()``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # ---- the run itself --------------------------------------------------------------------------

    @staticmethod
    def create(root: Path, config: RunConfig) -> "RunStore":
        """The directory of ``config`` under ``root``, made if it is not there.

        Raises:
            UsageError: what is on disk under that name is another run, or no run.
        """
        store = RunStore(root / config.run_id)
        if store.path.exists() and (store.path / "run.json").exists():
            found = store.config
            if "origin" in store.info:
                raise UsageError(
                    f"{store.path} holds an imported model, which cannot be trained on: choose another --out"
                )
            if found.identity != config.identity:
                raise UsageError(
                    f"{store.path} holds a run with another config (on disk {found.identity}; asked for "
                    f"{config.identity}): choose another --out, or move that directory away"
                )
            return store
        if store.path.exists() and not _is_unborn(store.path):
            raise UsageError(f"{store.path} exists but is not a run: choose another --out, or move it away")
        (store.path / "steps").mkdir(parents=True, exist_ok=True)
        write_json(store.path / "run.json", {"format": FORMAT, "config": config.to_json(), "sessions": []})
        return store

    @staticmethod
    def open(path: Path) -> "RunStore":
        """An existing run.

        Raises:
            UsageError: ``path`` is not a run.
            DataError: its ``run.json`` cannot be read.
        """
        if not (path / "run.json").is_file():
            raise UsageError(f"{path} is not a run: it has no run.json; runs are made by python -m train.run")
        store = RunStore(path)
        _ = store.config
        return store

    @property
    def info(self) -> dict[str, Any]:
        """Contents of ``run.json``."""
        data = _read_json(self.path / "run.json")
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DataError(f"{self.path / 'run.json'} is not of format {FORMAT}; it was written by another version")
        return data

    @property
    def config(self) -> RunConfig:
        """The run's config, ``steps`` being the largest number asked for so far."""
        try:
            return from_json(self.info["config"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.path / 'run.json'} holds no valid config: {error}") from error

    def add_session(self, config: RunConfig, session: dict[str, Any]) -> None:
        """Record that a process trains here: its command, versions and machine; ``steps`` may grow, never shrink."""
        info, steps = self.info, max(config.schedule.steps, self.config.schedule.steps)
        config = override(config, {"steps": steps})
        write_json(
            self.path / "run.json",
            {**info, "config": config.to_json(), "sessions": [*info["sessions"], session]},
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run; released by the system on any death of the process.

        Raises:
            Busy: another process holds it; its pid and host are named.
        """
        path = self.path / "LOCK"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            holder = path.read_text().strip() or "another process"
            raise Busy(f"{self.path} is being trained by {holder}: wait for it, or stop it") from None
        try:
            path.write_text(f"pid {os.getpid()} on {socket.gethostname()}\n")
            for leftover in [*self.path.glob(".*.tmp"), *self.path.glob("steps/.*.tmp")]:
                leftover.unlink()
            yield
        finally:
            lock.release()

    # ---- snapshots -------------------------------------------------------------------------------

    @property
    def manifest(self) -> dict[int, dict[str, Any]]:
        """Snapshots that may be trusted, by step in rising order: file, bytes, sha256."""
        path = self.path / "manifest.json"
        entries = _read_json(path) if path.exists() else []
        try:
            whole = [{key: entry[key] for key in ("step", "file", "bytes", "sha256")} for entry in entries]
            return {entry["step"]: entry for entry in sorted(whole, key=lambda e: e["step"])}
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} is not a manifest: {error!r}") from error

    @property
    def steps(self) -> list[int]:
        """Steps with a snapshot, rising."""
        return list(self.manifest)

    def save_snapshot(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Save weights at ``step``. A snapshot already there is compared, never rewritten.

        Raises:
            DataError: the one on disk differs.
        """
        data = _pack(tensors, {"step": step})
        entry = {
            "step": step,
            "file": f"steps/{step:08d}.safetensors",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        manifest = self.manifest
        if step in manifest:
            if manifest[step] != entry:
                raise DataError(
                    f"{self.path / entry['file']} differs from the weights just computed for step {step}: "
                    "the run was continued on another machine, thread count or version; start it in another --out"
                )
            return
        write_atomic(self.path / entry["file"], data)
        write_json(self.path / "manifest.json", [*manifest.values(), entry])

    def load_snapshot(self, step: int) -> dict[str, Tensor]:
        """Weights at ``step``.

        Raises:
            KeyError: no snapshot at that step.
            DataError: the file is missing, or is not what the manifest says was written.
        """
        entry = self.manifest[step]
        path = self.path / entry["file"]
        data = _read_bytes(path)
        if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise DataError(f"{path} is corrupt or truncated: its size or SHA-256 is not the manifest's")
        return _unpack(data, path)[0]

    # ---- of imported runs ------------------------------------------------------------------------

    def save_split(self, is_train: Bool[Tensor, " rows"]) -> None:
        """Save which rows are trained on, of a run whose config does not say."""
        write_atomic(self.path / "split.safetensors", _pack({"is_train": is_train}, {}))

    def load_split(self) -> Bool[Tensor, " rows"] | None:
        """Which rows are trained on, where that was saved.

        Raises:
            DataError: the file cannot be read.
        """
        path = self.path / "split.safetensors"
        return _unpack(_read_bytes(path), path)[0]["is_train"] if path.exists() else None

    # ---- resume state ----------------------------------------------------------------------------

    def save_resume(self, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Replace the resume state: tensors and a JSON-able dictionary in one file."""
        write_atomic(self.path / "resume.safetensors", _pack(tensors, state))

    def load_resume(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The latest resume state, or None where there is none.

        Raises:
            DataError: the file cannot be read.
        """
        path = self.path / "resume.safetensors"
        return _unpack(_read_bytes(path), path) if path.exists() else None

    # ---- log -------------------------------------------------------------------------------------

    def append_log(self, rows: list[dict[str, Any]]) -> None:
        """Append rows in one durable write."""
        with (self.path / "log.jsonl").open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())

    def read_log(self) -> list[dict[str, Any]]:
        """All whole rows; a torn last line is left out.

        Raises:
            DataError: another line is not JSON.
        """
        path = self.path / "log.jsonl"
        if not path.exists():
            return []
        lines = _read_bytes(path).decode(errors="replace").split("\n")[:-1]
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{path} line {number} is not JSON: {error}") from error
        return rows

    def truncate_log(self, step: int) -> None:
        """Drop the rows at and after ``step``."""
        kept = [row for row in self.read_log() if row["step"] < step]
        write_atomic(self.path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in kept).encode())

    # ---- done ------------------------------------------------------------------------------------

    def mark_done(self, step: int) -> None:
        """Say that training reached ``step``; the last file written."""
        write_json(self.path / "DONE", {"step": step})

    def clear_done(self) -> None:
        """Take that back, before a run is extended."""
        (self.path / "DONE").unlink(missing_ok=True)
        sync_folder(self.path)

    @property
    def done_step(self) -> int | None:
        """Step at which the run was finished; None while it is not."""
        path = self.path / "DONE"
        return int(_read_json(path)["step"]) if path.exists() else None


def _is_unborn(path: Path) -> bool:
    """Whether a directory holds nothing but what a process killed while making a run leaves behind."""
    steps = path / "steps"
    rest = [p for p in path.iterdir() if p != steps and p.name != "LOCK" and not p.match(".*.tmp")]
    return not rest and (not steps.exists() or steps.is_dir() and not any(steps.iterdir()))


def _pack(tensors: Mapping[str, Tensor], state: dict[str, Any]) -> bytes:
    """Safetensors bytes with one metadata key (several make the bytes irreproducible)."""
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(owned, metadata={"groklens": json.dumps(state, sort_keys=True)})


def _unpack(data: bytes, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        length = int.from_bytes(data[:8], "little")
        if not 0 < length <= MAX_HEADER or len(data) < 8 + length:
            raise ValueError("its header is too long or cut off")
        state = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["groklens"])
        return dict(sorted(safetensors.torch.load(data).items())), state
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is not a readable snapshot: {error}") from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
