"""The manifest, which lists the valid snapshots of a run with size and SHA-256, and the snapshot files."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from train.errors import DataError

from .documents import FORMAT, OLD_MANIFEST, SEALED_MANIFEST, check_run, digest, read_document
from .files import own_folder, read_regular, write_atomic
from .tensors import pack, read_whole, unpack

FOLDER = "steps"
NAME = "manifest.json"

Entries = dict[int, dict[str, Any]]
"""Entries of a manifest in order of steps, by step; each entry has step, file, bytes and sha256."""


def file_of(step: int) -> str:
    """The path of a step's snapshot within the run's directory; a manifest must not name any other path."""
    return f"{FOLDER}/{step:08d}.safetensors"


def read_manifest(path: Path, run: str, *, old: bool) -> Entries:
    """A run's manifest, verified by its seal.

    Args:
        path: the run's directory.
        run: the run's id.
        old: allow the older format, which has no seal.

    Raises:
        DataError: the manifest is missing, damaged, that of another run, or names a wrong file for a step.
    """
    home = path / NAME
    content, is_sealed = read_document(home, "manifest", SEALED_MANIFEST, OLD_MANIFEST if old else None)
    if is_sealed:
        check_run(content["run"], run, home)
    entries = content["snapshots"] if is_sealed else content
    for entry in entries:
        right = file_of(entry["step"])
        if entry["file"] != right:
            raise DataError(f"{home} names {entry['file'][:60]!r} for step {entry['step']}, not {right}")
    by_step = {entry["step"]: entry for entry in sorted(entries, key=lambda entry: entry["step"])}
    if len(by_step) != len(entries):
        raise DataError(f"{home} names a step twice")
    return by_step


def render_manifest(entries: Entries, run: str) -> bytes:
    """The text of a sealed manifest, one entry per line (``json.dumps`` with indentation is ten times slower)."""
    content = {"format": FORMAT, "run": run, "snapshots": list(entries.values())}
    lines = ",\n".join(map(json.dumps, content["snapshots"]))
    return (
        f'{{"format": {FORMAT}, "run": {json.dumps(run)}, "snapshots": [\n{lines}\n], "sha256": "{digest(content)}"}}\n'
    ).encode()


def snapshots_beside(path: Path) -> list[int]:
    """Steps of all files in a run's directory that are named like snapshots, in order.

    Raises:
        DataError: ``steps`` is a link or not a folder.
    """
    names = [one.name for one in own_folder(path / FOLDER).iterdir()]
    return sorted(int(name.split(".")[0]) for name in names if re.fullmatch(r"[0-9]{8,12}\.safetensors", name))


def pack_snapshot(step: int, tensors: Mapping[str, Tensor], run: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a snapshot, and its entry in the manifest."""
    data = pack(tensors, {"kind": "snapshot", "run": run, "step": step})
    return data, entry_of(step, data)


def entry_of(step: int, data: bytes) -> dict[str, Any]:
    """The manifest's entry for a snapshot of these bytes."""
    return {"step": step, "file": file_of(step), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def write_snapshot(path: Path, step: int, data: bytes) -> None:
    """Write a snapshot's bytes into the run's directory ``path``."""
    own_folder(path / FOLDER)
    write_atomic(path / file_of(step), data)


def read_snapshot(path: Path, entry: Mapping[str, Any], run: str, *, old: bool) -> dict[str, Tensor]:
    """The tensors of a snapshot, verified against its ``entry`` in the manifest.

    Raises:
        DataError: the file differs from its entry, or names another run or step.
    """
    home = path / entry["file"]
    own_folder(path / FOLDER)
    data = read_regular(home, entry["bytes"], entry["bytes"])
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise DataError(f"{home} is corrupt or truncated: its SHA-256 is not the manifest's")
    return _snapshot(data, home, entry["step"], run, old=old)


def read_lone_snapshot(path: Path, step: int, run: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a snapshot that no manifest lists, verified by its own checksum, and an entry for a manifest.

    Raises:
        DataError: the file differs from its checksum, or names another run or step.
    """
    home = path / file_of(step)
    own_folder(path / FOLDER)
    data = read_whole(home)
    return _snapshot(data, home, step, run, old=False), entry_of(step, data)


def _snapshot(data: bytes, home: Path, step: int, run: str, *, old: bool) -> dict[str, Tensor]:
    tensors, state = unpack(data, home, "snapshot", old=old)
    if "run" in state:
        check_run(state["run"], run, home)
    if state["step"] != step:
        raise DataError(f"{home} is the snapshot of step {state['step']}: files were swapped")
    return tensors
