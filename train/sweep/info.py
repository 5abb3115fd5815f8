"""A sweep's directory: ``sweep.json``, which says what it is, its runs, and ``sweep.parquet``."""

import json
import tomllib
from pathlib import Path

from ..errors import DataError, UsageError
from ..files import write_json
from ..provenance import git_state, versions
from .spec import Spec, parse_spec

INFO = "sweep.json"
FORMAT = "sweep 1"


def write_info(root: Path, spec: Spec) -> None:
    """Make the directory, with what it is."""
    root.mkdir(parents=True, exist_ok=True)
    about = {"format": FORMAT, "name": spec.name, "spec": spec.text, "versions": versions(), "git": git_state()}
    runs = {cell.config.run_id: {**cell.at, "seed": cell.config.seed} for cell in spec.cells}
    write_json(root / INFO, about | {"runs": runs})


def is_sweep(path: Path) -> bool:
    """Whether a directory is a sweep's."""
    return (path / INFO).is_file()


def read_info(root: Path) -> Spec:
    """The sweep of a directory.

    Raises:
        DataError: its ``sweep.json`` cannot be read, or is another version's.
    """
    try:
        about = json.loads((root / INFO).read_text())
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT!r}")
        return parse_spec(tomllib.loads(about["spec"]), str(about["name"]), about["spec"], root / INFO)
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise DataError(f"{root / INFO} is no sweep that can be read: {error}") from error
