"""A simulation on disk: ``run.json`` and ``curves.npz``, each written atomically."""

import dataclasses
import hashlib
import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from train.config.checks import typed
from train.errors import MOST_SHOWN, DataError, shown
from train.storage.files import read_small, write_atomic, write_json
from train.storage.json_files import read_json
from train.storage.provenance import git_state, versions

from .config import ScalingConfig

FORMAT = "scaling 1"
CURVES = ("step", "t", "loss", "q")
MOST_CURVES = 100_000_000
"""Largest size of the curves in bytes, packed or unpacked."""


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Curves of a simulation."""

    step: np.ndarray
    """Updates done, [times]."""
    t: Float[np.ndarray, " times"]
    """Time, eta times updates."""
    loss: Float[np.ndarray, "seeds times"]
    """Population loss, the sum of lambda_k v_k^2."""
    q: Float[np.ndarray, "seeds times"]
    """Scale q of the kernel, (1 + sqrt(1 + 4 gamma |h|^2 / N)) / 2."""


def write_simulation(path: Path, config: ScalingConfig, simulated: Simulated) -> None:
    """Write a simulation to the directory ``path``; ``run.json`` is written last and marks completeness.

    Raises:
        OSError: a write failed.
    """
    path.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(simulated, name) for name in CURVES})
    write_atomic(path / "curves.npz", buffer.getvalue())
    about = {"format": FORMAT, "id": config.name, "config": config.to_json(), "curves": _sha256(buffer.getvalue())}
    write_json(path / "run.json", about | {"versions": versions(), "git": git_state()})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_simulation(path: Path) -> bool:
    """Whether a directory holds a simulation, readable or not."""
    try:
        about = read_json(path / "run.json")
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


def read_simulation(path: Path) -> tuple[ScalingConfig, Simulated]:
    """Config and curves of the simulation in the directory ``path``.

    Raises:
        DataError: a file is missing, damaged or not that of a simulation.
    """
    try:
        about = read_json(path / "run.json")
        config, data = _config(about), read_small(path / "curves.npz", MOST_CURVES)
        if "curves" in about and about["curves"] != _sha256(data):  # earlier versions wrote none
            raise ValueError("the SHA-256 of its curves.npz is not the one in its run.json")
        curves = _read_curves(data, config)
        _check_curves(config, curves)
        return config, Simulated(**curves)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no simulation that can be read: {error}") from error


def _config(about: Any) -> ScalingConfig:
    """The config in the content of a ``run.json``. Raises ValueError if the config is missing or not valid."""
    if not isinstance(about, dict) or not isinstance(about.get("config"), dict):
        raise ValueError("its run.json holds no config")
    if about.get("format") != FORMAT:
        raise ValueError(f"its format is {shown(about.get('format'))}, not {FORMAT!r}")
    values, fields = about["config"], dataclasses.fields(ScalingConfig)
    names = {f.name for f in fields}
    if values.keys() != names:
        raise ValueError(f"its config lacks or adds {', '.join(sorted(names ^ values.keys()))[:MOST_SHOWN]}")
    config = ScalingConfig(**{f.name: typed(f, values[f.name]) for f in fields})
    if "id" in about and about["id"] != config.name:  # earlier versions wrote none
        raise ValueError(f"its config is that of {config.name}, not of {shown(about['id'])}")
    return config


def _read_curves(data: bytes, config: ScalingConfig) -> dict[str, np.ndarray]:
    """The arrays of a ``curves.npz`` as ``write_simulation`` writes it. Raises ValueError for any other content.

    Sizes are compared before anything is unpacked: a small file may unpack to gigabytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            if sorted(sizes) != sorted(f"{name}.npy" for name in CURVES) or len(archive.infolist()) != len(CURVES):
                raise ValueError(f"its curves.npz does not hold {', '.join(CURVES)}")
            if sum(sizes.values()) > MOST_CURVES:
                raise ValueError(f"its curves are larger than {MOST_CURVES:,} bytes")
            return {name: _array(archive.read(f"{name}.npy"), config.seeds) for name in CURVES}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise ValueError(f"its curves.npz is damaged: {error}") from error


def _array(data: bytes, seeds: int) -> np.ndarray:
    """The array of .npy data: numbers of 8 bytes in one or two dimensions. Raises ValueError for any other content."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("its curves are of another version of NumPy's format")
    try:
        shape, is_columnwise, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy parses the header as Python, which fails in many ways
        raise ValueError(f"its curves have no header of NumPy's: {error}") from error
    rest = data[file.tell() :]
    if dtype not in (np.float64, np.int64) or is_columnwise or len(shape) not in (1, 2) or shape[0] < 1:
        raise ValueError(f"its curves are no rows of numbers: {shown(shape)} of {shown(dtype)}")
    if len(shape) == 2 and shape[0] != seeds or 8 * math.prod(shape) != len(rest):
        raise ValueError(f"an array of its curves has {len(rest):,} bytes, which are not {shown(shape)} numbers")
    return np.frombuffer(rest, dtype).reshape(shape).copy()


def _check_curves(config: ScalingConfig, curves: dict[str, np.ndarray]) -> None:
    """Refuse shapes and values that no simulation of this config has. Raises ValueError."""
    step, times = curves["step"], len(curves["t"])
    if not np.issubdtype(step.dtype, np.integer) or step.ndim != 1 or not (np.diff(step) > 0).all() or step[0] != 0:
        raise ValueError("its steps are not whole numbers that rise from 0")
    if len(step) != times or step[-1] != config.steps:
        raise ValueError(f"its steps do not end at the {config.steps} of its config, or have not one time each")
    for name in ("loss", "q"):
        values = curves[name]
        if values.shape != (config.seeds, times) or values.dtype != np.float64:
            raise ValueError(f"its {name} is not a number for each of {config.seeds} seeds and {times} times")
        if not np.isfinite(values).all() or not (values > 0).all():
            raise ValueError(f"its {name} has values that are not finite and above 0")
    if not np.array_equal(curves["t"], config.eta * step):
        raise ValueError("its times are not eta times its steps")
