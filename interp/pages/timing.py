"""Seconds that the parts of a page take, and the line that shows which part is being built."""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from train.cli.terminal import printable, tell


@dataclass
class Timings:
    """Seconds by part of a page, in the order in which the parts were built."""

    rows: list[tuple[str, float, float]] = field(default_factory=list)
    """Name of the part, seconds that passed, and CPU seconds of all threads."""

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """A context whose seconds are added under ``name``."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.rows.append((name, time.perf_counter() - wall_s, time.process_time() - cpu_s))

    def table(self) -> list[str]:
        """Lines of a table for a terminal: a row a part, and their sum."""
        total = ("total", sum(row[1] for row in self.rows), sum(row[2] for row in self.rows))
        width = max(len(row[0]) for row in [*self.rows, total])
        head = f"{'':{width}} {'seconds':>9} {'CPU seconds':>12}"
        return [head, *(f"{name:{width}} {wall_s:9.1f} {cpu_s:12.1f}" for name, wall_s, cpu_s in [*self.rows, total])]


class Progress:
    """A context manager that shows on standard error which of several parts is being built.

    On a terminal this is a bar, elsewhere a line a part; nothing where ``quiet``.
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        self.bar: Any = None

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}", markup=False)
            columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), text)
            self.bar = Bar(*columns, console=Console(stderr=True))
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def begin(self, number: int, name: str) -> None:
        """Show that part ``number``, from 0, has begun."""
        if self.bar is not None:
            self.bar.update(self.task, completed=number, description=printable(name))
        elif not self.quiet:
            tell(f"{name} ...")

    def end(self) -> None:
        """Show that all parts are built."""
        if self.bar is not None:
            self.bar.update(self.task, completed=self.total, description="")
