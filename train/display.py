"""What a person sees while a run trains: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any

from .config import RunConfig
from .curves import delay, first_crossing
from .engine import Progress

PLAIN_EVERY_S = 10.0
"""Seconds between plain lines where output is not a terminal."""


class Display:
    """Context manager; ``show`` takes each report of the engine. Writes to standard error."""

    def __init__(self, config: RunConfig, from_step: int, *, quiet: bool) -> None:
        self.total, self.from_step, self.quiet = config.schedule.steps, from_step, quiet
        self.name = config.run_id
        self.started = time.monotonic()
        self.printed_at = 0.0
        self.bar: Any = None
        self.has_begun = False

    def __enter__(self) -> "Display":
        if self.quiet:
            return self
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeRemainingColumn())
            self.bar = Progress(*columns, console=Console(stderr=True))
            self.bar.start()
            self.task = self.bar.add_task("", total=self.total, completed=self.from_step)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, report: Progress) -> None:
        """Show the latest step, rate and scores."""
        if not self.quiet and not self.has_begun:
            self.has_begun = True
            start = f"from step {self.from_step:,} " if self.from_step else ""
            print(f"training {self.name} {start}to step {self.total:,}", file=sys.stderr, flush=True)
        if self.bar is not None:
            self.bar.update(self.task, completed=report.step, description=self._line(report))
            return
        now = time.monotonic()
        if not self.quiet and (now - self.printed_at > PLAIN_EVERY_S or report.step == self.total):
            self.printed_at = now
            print(self._line(report) + self._left(report.step), file=sys.stderr, flush=True)

    def _left(self, step: int) -> str:
        rate = self._rate(step)
        return f" · {(self.total - step) / rate:.0f} s left" if rate > 0 else ""

    def _rate(self, step: int) -> float:
        return (step - self.from_step) / max(time.monotonic() - self.started, 1e-9)

    def _line(self, report: Progress) -> str:
        parts = [f"step {report.step:,}/{self.total:,}", f"{self._rate(report.step):.1f} steps/s"]
        if report.row is not None:
            row = report.row
            parts.append(f"loss train {row['train_loss']:.3g} test {row['test_loss']:.3g}")
            parts.append(f"accuracy train {row['train_acc']:.1%} test {row['test_acc']:.1%}")
        if report.last_snapshot is not None:
            parts.append(f"snapshot {report.last_snapshot:,}")
        return " · ".join(parts)


def summary(log: list[dict[str, Any]]) -> str:
    """One line on how the run went: the steps of 99% accuracy and the last losses."""
    rows = [row for row in log if "test_loss" in row]
    if not rows:
        return "nothing was logged"
    steps = [row["step"] for row in rows]
    train_99 = first_crossing(steps, [row["train_acc"] for row in rows], 0.99)
    test_99 = first_crossing(steps, [row["test_acc"] for row in rows], 0.99)
    gap = delay(train_99, test_99)
    reached = "99% train accuracy " + (f"at step {train_99:,}" if train_99 is not None else "not reached")
    reached += ", 99% test accuracy " + (
        f"at step {test_99:,}" if test_99 is not None else "not reached: it did not grok"
    )
    if gap is not None:
        reached += f" ({gap:,} steps later)"
    last = rows[-1]
    return f"{reached}; at step {last['step']:,} train loss {last['train_loss']:.3g}, test loss {last['test_loss']:.3g}"
