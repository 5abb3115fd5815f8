"""A simulation on disk: ``run.json`` and ``curves.npz``, written whole or not at all; done once."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..files import write_atomic, write_json
from ..provenance import git_state, versions
from .config import ScalingConfig
from .simulate import Simulated, simulate

CURVES = ("step", "t", "loss", "q")


def run_simulation(config: ScalingConfig, root: Path) -> tuple[Path, Simulated]:
    """Simulate into ``root / config.name``, or read what is there already.

    Raises:
        DataError: unstable, or what is there is broken.
    """
    path = root / config.name
    if (path / "run.json").is_file():
        return path, read_simulation(path)[1]
    found = simulate(config)
    path.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(found, name) for name in CURVES})
    write_atomic(path / "curves.npz", buffer.getvalue())
    about: dict[str, Any] = {"format": "scaling 1", "config": config.to_json(), "versions": versions()}
    write_json(path / "run.json", about | {"git": git_state()})
    return path, found


def read_simulation(path: Path) -> tuple[ScalingConfig, Simulated]:
    """Config and curves.

    Raises:
        DataError: a file is missing or broken.
    """
    try:
        config = ScalingConfig(**json.loads((path / "run.json").read_text())["config"])
        with np.load(path / "curves.npz") as curves:
            return config, Simulated(**{name: curves[name] for name in CURVES})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no simulation that can be read: {error}") from error
