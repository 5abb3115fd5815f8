"""A simulation on disk: ``run.json`` and ``curves.npz``, written whole or not at all."""

import dataclasses
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..checks import typed
from ..errors import DataError, UsageError
from ..files import write_atomic, write_json
from ..provenance import git_state, versions
from .config import ScalingConfig

FORMAT = "scaling 1"
CURVES = ("step", "t", "loss", "q")


@dataclasses.dataclass(frozen=True)
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
        DataError: a file is missing or broken, or holds what no simulation writes.
    """
    try:
        about = json.loads((path / "run.json").read_text())
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT!r}")
        config = ScalingConfig(**{f.name: typed(f, about["config"][f.name]) for f in dataclasses.fields(ScalingConfig)})
        with np.load(io.BytesIO((path / "curves.npz").read_bytes())) as curves:
            found = {name: curves[name] for name in CURVES}
        _check_curves(config, found)
        return config, Simulated(**found)
    except (OSError, ValueError, KeyError, TypeError, EOFError, UsageError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no simulation that can be read: {error}") from error


def _check_curves(config: ScalingConfig, found: dict[str, np.ndarray]) -> None:
    """Shapes and values that a simulation of this config has; ValueError where not."""
    step, times = found["step"], len(found["t"])
    if not np.issubdtype(step.dtype, np.integer) or step.ndim != 1 or not (np.diff(step) > 0).all() or step[0] != 0:
        raise ValueError("its steps are not whole numbers that rise from 0")
    if len(step) != times or step[-1] != config.steps:
        raise ValueError(f"its steps do not end at the {config.steps} of its config, or have not one time each")
    for name in ("loss", "q"):
        values = found[name]
        if values.shape != (config.seeds, times) or values.dtype != np.float64:
            raise ValueError(f"its {name} is not a number for each of {config.seeds} seeds and {times} times")
        if not np.isfinite(values).all() or not (values > 0).all():
            raise ValueError(f"its {name} has values that are not finite and above 0")
