"""Progress display: a live line on a terminal or in a notebook, plain lines elsewhere."""

import sys
import time
from typing import Any

from train.curves import Bracket, bracket, delay_range, first_crossing
from train.engine.loop import Progress
from train.engine.session import Session

from .terminal import printable, say, tell

PLAIN_EVERY_S = 10.0
"""Seconds between plain lines if output is neither a terminal nor a notebook."""


class TerminalLine:
    """Progress on a terminal: a rich progress bar on standard error.

    ``NotebookLine`` and ``PlainLines`` have the same interface: ``show`` takes the number of steps done in all runs, a
    text, the remaining time as text, and whether training is complete.
    """

    def __init__(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task("", total=total, completed=done)
        self.bar.start()

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Update the bar; rich computes the remaining time itself."""
        self.bar.update(self.task, completed=done, description=text)

    def close(self) -> None:
        """Stop the bar, leaving its last state on the screen."""
        self.bar.stop()


class NotebookLine:
    """Progress in a notebook: a line that is updated in place by IPython's display, without widgets."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Update the line."""
        from IPython.display import display

        content = {"text/plain": printable(text if is_last else text + left)}
        if self.handle is None:
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def close(self) -> None:
        """Do nothing: the last line stays."""


class PlainLines:
    """Progress in a log file or pipe: a line on standard error every ``PLAIN_EVERY_S`` seconds."""

    def __init__(self) -> None:
        self.printed_at = 0.0

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Print the line if the previous one is old enough."""
        now = time.monotonic()
        if now - self.printed_at > PLAIN_EVERY_S or is_last:
            self.printed_at = now
            tell(text + left)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


Line = TerminalLine | NotebookLine | PlainLines


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Display:
    """A context manager whose ``show`` is the engine's progress callback."""

    def __init__(self, session: Session, *, quiet: bool) -> None:
        configs = [trainee.config for trainee in session.trainees]
        self.how, self.quiet = str(session.taken), quiet
        self.totals = [config.schedule.steps for config in configs]
        self.from_steps = [trainee.from_step for trainee in session.trainees]
        self.name = configs[0].run_id if len(configs) == 1 else f"{len(configs)} runs of {configs[0].task.label}"
        self.started = time.monotonic()
        self.line: Line | None = None

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        if self.line is not None:
            self.line.close()

    def show(self, reports: list[Progress]) -> None:
        """Show the latest step, speed and scores."""
        if self.quiet:
            return
        if self.line is None:
            self.line = self._begun()
        done = sum(report.step for report in reports)
        text = self._of_one(reports[0]) if len(reports) == 1 else self._of_many(reports)
        self.line.show(done, text, self._left(done), is_last=done == sum(self.totals))

    def _begun(self) -> Line:
        """Print a first line about the session. Returns the display for the progress."""
        start = f"from step {min(self.from_steps):,} " if any(self.from_steps) else ""
        begins = f"training {self.name} {start}to step {max(self.totals):,} {self.how}"
        if is_notebook():
            say(begins)
            return NotebookLine()
        tell(begins)
        return TerminalLine(sum(self.totals), sum(self.from_steps)) if sys.stderr.isatty() else PlainLines()

    def _left(self, done: int) -> str:
        rate = self._rate(done)
        return f" · {(sum(self.totals) - done) / rate:.0f} s left" if rate > 0 else ""

    def _rate(self, done: int) -> float:
        """Steps per second, summed over the runs."""
        return (done - sum(self.from_steps)) / max(time.monotonic() - self.started, 1e-9)

    def _of_one(self, report: Progress) -> str:
        parts = [f"step {report.step:,}/{self.totals[0]:,}", f"{self._rate(report.step):.1f} steps/s"]
        if report.row is not None:
            row = report.row
            parts.append(f"loss train {row['train_loss']:.3g} test {row['test_loss']:.3g}")
            parts.append(f"accuracy train {row['train_acc']:.1%} test {row['test_acc']:.1%}")
        if report.last_snapshot is not None:
            parts.append(f"snapshot {report.last_snapshot:,}")
        return " · ".join(parts)

    def _of_many(self, reports: list[Progress]) -> str:
        steps, rows = [report.step for report in reports], [report.row for report in reports if report.row is not None]
        parts = [f"{len(reports)} runs at step {min(steps):,}" + (f" to {max(steps):,}" if len(set(steps)) > 1 else "")]
        parts.append(f"{self._rate(sum(steps)):.1f} model-steps/s")
        for name in ("train", "test"):
            reached = sum(row[f"{name}_acc"] >= 0.99 for row in rows)
            parts.append(f"{reached} with {name} accuracy 99%")
        return " · ".join(parts)


def summary(log: list[dict[str, Any]]) -> str:
    """A summary of a run in one line: the evaluations between which accuracies reached 99%, and the last losses."""
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
