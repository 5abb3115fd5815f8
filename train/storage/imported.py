"""Runs that were trained elsewhere: a directory like a trained run's, written whole or not at all."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from train.config.run import RunConfig
from train.errors import UsageError

from .documents import FORMAT, sealed
from .files import is_there, sync_folder, write_json
from .reading import run_id_of
from .store import RunStore


def write_imported(
    path: Path,
    config: dict[str, Any],
    origin: dict[str, Any],
    snapshots: Mapping[int, Mapping[str, Tensor]],
    is_train: Bool[Tensor, " rows"] | None,
    log: Sequence[Mapping[str, Any]] = (),
) -> RunStore:
    """Write a run of origin "imported"; one that is there already is left as it is if it is the same.

    Args:
        path: the run's directory.
        config: the fields that are known, as ``RunConfig.to_dict`` names them.
        origin: source (file name), sha256 (of the file), layout, unknown (names of config fields and parts).
        snapshots: weights by TransformerLens name, by step.
        is_train: which of all rows, a-major, are trained on; None where that is unknown.
        log: rows of losses and accuracies as the source lists them, steps rising.

    Raises:
        UsageError: something else is there.
    """
    rows = [dict(row) for row in log]
    about = {"config": config, "origin": {"kind": "imported", **origin}}
    about = json.loads(json.dumps(about))  # as it is read back
    if path.exists():
        if is_there(path / "run.json") and _holds(RunStore(path), about, snapshots, is_train, rows):
            return RunStore.open(path)
        raise UsageError(f"{path} exists and is not this import: choose another --out, or move it away")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = RunStore(path.with_name(f".{path.name}.{os.getpid()}.tmp"))
    try:
        (partial.path / "steps").mkdir(parents=True)
        run = run_id_of(about, RunConfig.from_dict(about["config"]))
        write_json(partial.path / "run.json", sealed({"format": FORMAT, "run": run, **about, "sessions": []}))
        for step in sorted(snapshots):
            partial.save_snapshot(step, snapshots[step])
        if is_train is not None:
            partial.save_split(is_train)
        if rows:
            partial.append_log(rows)
        partial.mark_done(max(snapshots))
        partial.path.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(partial.path, ignore_errors=True)
    return RunStore.open(path)


def _holds(
    store: RunStore,
    about: dict[str, Any],
    snapshots: Mapping[int, Mapping[str, Tensor]],
    is_train: Bool[Tensor, " rows"] | None,
    log: list[dict[str, Any]],
) -> bool:
    """Whether a run on disk is this import: the same words, steps, losses, weights and split.

    Raises:
        DataError: one of its files is corrupt.
    """
    is_said = all(store.info.get(name) == value for name, value in about.items())
    if not is_said or store.steps != sorted(snapshots) or store.read_log() != log:
        return False
    split = store.load_split()
    same_split = split is is_train if split is None or is_train is None else split.equal(is_train)
    return same_split and all(_equal(store.load_snapshot(step), weights) for step, weights in snapshots.items())


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(tensor.equal(b[name]) for name, tensor in a.items())
