"""Writing of imported runs, trained elsewhere, as run directories that appear atomically."""

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
    """Write a run of origin "imported"; a directory that already holds the same import is left as it is.

    Args:
        path: the run's directory.
        config: the known fields, nested as in ``RunConfig.to_dict``.
        origin: source (file name), sha256 (of the file), layout, unknown (names of config fields and parts).
        snapshots: weights by TransformerLens name, by step.
        is_train: mask of the training rows over all rows, a-major; None if the split is unknown.
        log: rows of losses and accuracies listed by the source, in order of steps.

    Raises:
        UsageError: ``path`` exists and is not this import.
    """
    rows = [dict(row) for row in log]
    about = {"config": config, "origin": {"kind": "imported", **origin}}
    about = json.loads(json.dumps(about))  # for example tuples become lists, as when read back
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
    """Whether a run on disk equals this import in config, origin, steps, losses, weights and split.

    Raises:
        DataError: a file of the run is corrupt.
    """
    is_described = all(store.info.get(name) == value for name, value in about.items())
    if not is_described or store.steps != sorted(snapshots) or store.read_log() != log:
        return False
    split = store.load_split()
    same_split = split is is_train if split is None or is_train is None else split.equal(is_train)
    return same_split and all(_equal(store.load_snapshot(step), weights) for step, weights in snapshots.items())


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(tensor.equal(b[name]) for name, tensor in a.items())
