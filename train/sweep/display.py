"""The progress of a sweep: a live table on a terminal, plain lines elsewhere, read from the workers' files."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from train.cli.terminal import printable, tell
from train.storage.json_files import read_json

from .work import STATUS

PLAIN_EVERY_S = 30.0
STALE_S = 60.0
"""Seconds without a status update after which a worker counts as killed and is not shown."""
MOST_ROWS = 24


@contextlib.contextmanager
def watching(root: Path, names: set[str], total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A context for the display. Yields a function that shows the progress of ``names``, out of ``total`` runs."""
    if quiet:
        yield lambda: None
        return
    if not sys.stderr.isatty():
        yield _Lines(root, names, total)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda: live.update(_drawn(root, names, total), refresh=True)


class _Lines:
    def __init__(self, root: Path, names: set[str], total: int) -> None:
        self.root, self.names, self.total, self.shown_at = root, names, total, 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.shown_at >= PLAIN_EVERY_S or not self.shown_at:
            self.shown_at = now
            tell(summary(self.root, self.names, self.total))


def running(root: Path) -> dict[str, dict[str, Any]]:
    """Step, train_acc and test_acc of the runs in training, from the workers' status files."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted((root / STATUS).glob("*.json")) if (root / STATUS).is_dir() else ():
        with contextlib.suppress(OSError, ValueError):  # the file is being replaced, or is not a status file
            rows |= _rows_of(read_json(path))
    return rows


def _rows_of(value: Any) -> dict[str, dict[str, Any]]:
    """The runs in a status file; empty if the file is stale or not a status file."""
    at, runs = (value.get("at"), value.get("runs")) if isinstance(value, dict) else (None, None)
    if not isinstance(at, int | float) or not isinstance(runs, dict) or time.time() - at >= STALE_S:
        return {}
    return {name: row for name, row in runs.items() if _is_row(row)}


def _is_row(row: Any) -> bool:
    accuracies = [row.get(key, "") for key in ("train_acc", "test_acc")] if isinstance(row, dict) else [""]
    return all(a is None or isinstance(a, int | float) for a in accuracies) and isinstance(row.get("step"), int)


def summary(root: Path, names: set[str], total: int) -> str:
    """The numbers of runs that are done, in training and waiting, in one line."""
    at, left = running(root), [name for name in names if not (root / name / "DONE").exists()]
    training = [name for name in left if name in at]
    high = sum((at[name]["test_acc"] or 0) >= 0.99 for name in training)
    return (
        f"{total - len(left)} of {total} runs done · {len(training)} in training ({high} with test accuracy 99%) · "
        f"{len(left) - len(training)} waiting"
    )


def _drawn(root: Path, names: set[str], total: int) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for name in ("run", "step", "train accuracy", "test accuracy"):
        table.add_column(name, justify="left" if name == "run" else "right")
    at = running(root)
    for name in sorted(at)[:MOST_ROWS]:
        row = at[name]
        accuracy = ["" if row[key] is None else f"{row[key]:.1%}" for key in ("train_acc", "test_acc")]
        table.add_row(Text(printable(name)), f"{row['step']:,}", *accuracy)
    if len(at) > MOST_ROWS:
        table.add_row(f"and {len(at) - MOST_ROWS} more", "", "", "")
    return Group(summary(root, names, total), table)
