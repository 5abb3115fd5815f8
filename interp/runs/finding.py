"""The one way to open a run: in a REPL, in measures, in reports and in tests."""

from collections.abc import Sequence
from pathlib import Path

from train.errors import UsageError
from train.hints import nearest
from train.storage.files import is_there
from train.storage.store import RunStore

from .run import Run


def open_run(name: str | Path, root: str | Path = "checkpoints", key_freqs: Sequence[int] | None = None) -> "Run":
    """Open a run by its directory or by a unique prefix of its name.

    Args:
        name: a run's directory, or a prefix of one ("add-p113", "elsewhere/add-p113").
        root: where a bare prefix is looked for.
        key_freqs: the frequencies that measures take as key; chosen at the last snapshot where not given.

    Raises:
        UsageError: no such run, several, or a directory that is not a run.
        DataError: the run's files cannot be read.
    """
    path = Path(name)
    if is_there(path / "run.json"):
        return Run(RunStore.open(path), key_freqs=key_freqs)
    _refuse_what_is_no_run(path)
    folder, prefix = (path, "") if path.is_dir() else (path.parent, path.name)
    if folder == Path() and not path.is_dir():
        folder = Path(root)
    runs = find_runs(folder)
    found = [run for run in runs if run.name.startswith(prefix)]
    if len(found) == 1:
        return Run(RunStore.open(found[0]), key_freqs=key_freqs)
    if found:
        raise UsageError(
            f"{str(name)!r} is the beginning of {len(found)} runs: {', '.join(map(str, found))}; give more of it"
        )
    known = ", ".join(run.name for run in runs) or "none"
    raise UsageError(
        f"no run in {folder} begins with {prefix!r}{nearest(prefix, [r.name for r in runs])}; there are {known}"
    )


def _refuse_what_is_no_run(path: Path) -> None:
    """Refuse a file, a part of a run and a folder without runs, saying what to give.

    Raises:
        UsageError: it is one of them.
    """
    for folder in path.absolute().parents[:2] if path.exists() else ():
        if (folder / "run.json").is_file():
            raise UsageError(f"{path} is a part of a run: give the run's directory, {folder}")
    if path.is_file():
        raise UsageError(f"{path} is a file: give a run's directory, such as checkpoints/add-p113-s0-...")
    if path.is_dir() and not find_runs(path):
        rest = sorted(entry.name for entry in path.iterdir())
        holds = f"it holds {', '.join(rest[:5])}{', ...' if len(rest) > 5 else ''}" if rest else "it is empty"
        raise UsageError(
            f"{path} is not a run and holds none: there is no run.json in it or in a folder of it ({holds}); "
            "runs are made by python -m train.run"
        )


def find_runs(folder: Path) -> list[Path]:
    """Directories of runs right below ``folder``, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(path.parent for path in folder.glob("[!.]*/run.json"))
