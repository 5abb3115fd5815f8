"""What a person sees while a run trains: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from train.config.run import RunConfig
from train.curves import Bracket, bracket, delay_range, first_crossing
from train.engine.loop import Progress

from .terminal import tell

PLAIN_EVERY_S = 10.0
"""Seconds between plain lines where output is not a terminal."""


class Display:
    """Context manager; ``show`` takes each report of the engine. Writes to standard error; ``how`` names the pass."""

    def __init__(self, configs: Sequence[RunConfig], from_steps: Sequence[int], how: str, *, quiet: bool) -> None:
        self.how = how
        self.totals, self.from_steps, self.quiet = [c.schedule.steps for c in configs], list(from_steps), quiet
        self.name = configs[0].run_id if len(configs) == 1 else f"{len(configs)} runs of {configs[0].task.label}"
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
            self.task = self.bar.add_task("", total=sum(self.totals), completed=sum(self.from_steps))
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, reports: list[Progress]) -> None:
        """Show the latest steps, rate and scores."""
        if not self.quiet and not self.has_begun:
            self.has_begun = True
            start = f"from step {min(self.from_steps):,} " if any(self.from_steps) else ""
            tell(f"training {self.name} {start}to step {max(self.totals):,} {self.how}")
        done = sum(report.step for report in reports)
        line = self._line(reports[0]) if len(reports) == 1 else self._line_of_many(reports)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=line)
            return
        now = time.monotonic()
        if not self.quiet and (now - self.printed_at > PLAIN_EVERY_S or done == sum(self.totals)):
            self.printed_at = now
            tell(line + self._left(done))

    def _left(self, done: int) -> str:
        rate = self._rate(done)
        return f" · {(sum(self.totals) - done) / rate:.0f} s left" if rate > 0 else ""

    def _rate(self, done: int) -> float:
        """Steps a second, of all runs together."""
        return (done - sum(self.from_steps)) / max(time.monotonic() - self.started, 1e-9)

    def _line(self, report: Progress) -> str:
        parts = [f"step {report.step:,}/{self.totals[0]:,}", f"{self._rate(report.step):.1f} steps/s"]
        if report.row is not None:
            row = report.row
            parts.append(f"loss train {row['train_loss']:.3g} test {row['test_loss']:.3g}")
            parts.append(f"accuracy train {row['train_acc']:.1%} test {row['test_acc']:.1%}")
        if report.last_snapshot is not None:
            parts.append(f"snapshot {report.last_snapshot:,}")
        return " · ".join(parts)

    def _line_of_many(self, reports: list[Progress]) -> str:
        steps, rows = [report.step for report in reports], [report.row for report in reports if report.row is not None]
        parts = [f"{len(reports)} runs at step {min(steps):,}" + (f" to {max(steps):,}" if len(set(steps)) > 1 else "")]
        parts.append(f"{self._rate(sum(steps)):.1f} model-steps/s")
        for name in ("train", "test"):
            reached = sum(row[f"{name}_acc"] >= 0.99 for row in rows)
            parts.append(f"{reached} with {name} accuracy 99%")
        return " · ".join(parts)


def summary(log: list[dict[str, Any]]) -> str:
    """One line on how the run went: between which evaluations accuracies reached 99%, and the last losses."""
    rows = [row for row in log if "test_loss" in row]
    if not rows:
        return "nothing was logged"
    train, test = (_reached(rows, f"{subset}_acc") for subset in ("train", "test"))
    gap = delay_range(train, test)
    reached = f"99% train accuracy {train or 'not reached'}, 99% test accuracy {test or 'not reached: it did not grok'}"
    if gap is not None and gap[0] >= 0:
        reached += f" ({gap[0]:,} to {gap[1]:,} steps later)"
    last = rows[-1]
    return f"{reached}; at step {last['step']:,} train loss {last['train_loss']:.3g}, test loss {last['test_loss']:.3g}"


def _reached(rows: list[dict[str, Any]], accuracy: str) -> Bracket | None:
    steps = [row["step"] for row in rows]
    return bracket(steps, first_crossing(steps, [row[accuracy] for row in rows], 0.99))
