"""Opening a run by its directory or by the beginning of its name."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from train.errors import UsageError, shown
from train.hints import nearest
from train.storage.files import is_there
from train.storage.store import RunStore

from .run import Run


def open_run(name: str | Path, root: str | Path = "checkpoints", key_freqs: Sequence[int] | None = None) -> Run:
    """Open a run by its directory or by a unique prefix of its name: see ``interp.open_run``.

    Raises:
        UsageError: there is no such run, there are several, or the directory is not a run.
        DataError: the run's files cannot be read.
    """
    return Run(RunStore.open(find_run(name, root)), key_freqs=key_freqs)


def find_run(name: str | Path, root: str | Path = "checkpoints") -> Path:
    """The directory of a run, from the directory itself, a unique prefix of its name, or a folder that holds one run.

    Args:
        name: such as "checkpoints/add-p113-s0-3f9c21ab", "add-p113" or "elsewhere/add-p113".
        root: the folder of runs in which a bare prefix is looked up.

    Raises:
        UsageError: there is no such run, there are several, or the directory is not a run.
    """
    if not isinstance(name, str | PathLike):
        raise UsageError(f"a run is opened by its directory or by the beginning of its name; got {shown(name)}")
    path = Path(name)
    if is_there(path / "run.json"):
        return path
    _refuse_other_paths(path)
    folder, prefix = (path, "") if path.is_dir() else (path.parent, path.name)
    if folder == Path() and not path.is_dir():
        folder = Path(root)
    runs = find_runs(folder)
    matches = [run for run in runs if run.name.startswith(prefix)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{str(name)!r} is the beginning of {len(matches)} runs: {', '.join(map(str, matches))}; give a longer one"
        )
    known = ", ".join(run.name for run in runs) or "none"
    raise UsageError(
        f"no run in {folder} begins with {prefix!r}{nearest(prefix, [r.name for r in runs])}; the runs there: {known}"
    )


def find_runs(folder: str | Path = "checkpoints") -> list[Path]:
    """Directories of the runs directly below a folder, sorted by name; empty if there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(path.parent for path in folder.glob("[!.]*/run.json"))


def _refuse_other_paths(path: Path) -> None:
    """Refuse a path to a file, to a part of a run or to a folder without runs; the message names a remedy.

    Raises:
        UsageError: the path is of one of these kinds.
    """
    for folder in path.absolute().parents[:2] if path.exists() else ():
        if (folder / "run.json").is_file():
            raise UsageError(f"{path} is a part of a run: give the run's directory, {folder}")
    if path.is_file():
        raise UsageError(f"{path} is a file: give a run's directory, such as checkpoints/add-p113-s0-...")
    if path.is_dir() and not find_runs(path):
        names = sorted(entry.name for entry in path.iterdir())
        contents = f"it holds {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else "it is empty"
        raise UsageError(
            f"{path} is not a run and holds none: there is no run.json in it or in a folder of it ({contents}); "
            "runs are made by python -m train.run"
        )
