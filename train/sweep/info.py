"""A sweep's directory: ``sweep.json``, which describes the sweep, the runs' directories, and ``sweep.parquet``."""

from pathlib import Path

from train.cli.arguments import parse_toml
from train.errors import DataError, shown
from train.storage.files import write_json
from train.storage.json_files import read_json
from train.storage.provenance import git_state, versions

from .spec import Spec, parse_spec

INFO = "sweep.json"
FORMAT = "sweep 1"


def write_info(root: Path, spec: Spec) -> None:
    """Create a sweep's directory and write ``sweep.json``."""
    root.mkdir(parents=True, exist_ok=True)
    about = {"format": FORMAT, "name": spec.name, "spec": spec.text, "versions": versions(), "git": git_state()}
    runs = {cell.config.run_id: {**cell.at, "seed": cell.config.seed} for cell in spec.cells}
    write_json(root / INFO, about | {"runs": runs})


def is_sweep(path: Path) -> bool:
    """Whether a directory holds a sweep."""
    return (path / INFO).is_file()


def read_info(root: Path) -> Spec:
    """The specification of the sweep in a directory.

    Raises:
        DataError: ``sweep.json`` cannot be read, or has another format version.
    """
    try:
        about = read_json(root / INFO)
        if not isinstance(about, dict):
            raise ValueError("it holds no dictionary")
        if about.get("format") != FORMAT:
            raise ValueError(f"its format is {shown(about.get('format'))}, not {FORMAT!r}")
        name, spec = about.get("name"), about.get("spec")
        if not isinstance(name, str) or not isinstance(spec, str):
            raise ValueError("its name or its spec is no text")
        return parse_spec(parse_toml(spec, "its spec"), name, spec, "its spec")
    except (OSError, ValueError) as error:
        raise DataError(f"{root / INFO} is no sweep that can be read: {error}") from error
