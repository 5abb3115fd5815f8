"""A simulation on disk: ``run.json`` and ``curves.npz``, written whole or not at all."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..errors import DataError
from ..files import write_atomic, write_json
from ..provenance import git_state, versions
from .config import ScalingConfig

FORMAT = "scaling 1"
CURVES = ("step", "t", "loss", "q")


@dataclass(frozen=True)
class Simulated:
    """Curves of a simulation."""

    step: np.ndarray
    """Updates done, [times]."""
    t: Float[np.ndarray, " times"]
    """eta times updates."""
    loss: Float[np.ndarray, "seeds times"]
    """Population loss, sum lambda_k v_k^2."""
    q: Float[np.ndarray, "seeds times"]
    """Scale of the kernel, (1 + sqrt(1 + 4 gamma |h|^2 / N)) / 2."""


def write_simulation(path: Path, config: ScalingConfig, found: Simulated) -> None:
    """Write it; ``run.json`` last, so that a directory that has it is whole."""
    path.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(found, name) for name in CURVES})
    write_atomic(path / "curves.npz", buffer.getvalue())
    about = {"format": FORMAT, "config": config.to_json(), "versions": versions(), "git": git_state()}
    write_json(path / "run.json", about)


def is_simulation(path: Path) -> bool:
    """Whether a directory holds one, readable or not."""
    try:
        return json.loads((path / "run.json").read_text())["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


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
