"""What a person sees while a run trains: a live line on a terminal or in a notebook, plain lines elsewhere."""

import sys
import time
from typing import Any

from train.curves import Bracket, bracket, delay_range, first_crossing
from train.engine.loop import Progress
from train.engine.session import Session

from .terminal import printable, say, tell

PLAIN_EVERY_S = 10.0
"""Seconds between plain lines where output is neither a terminal nor a notebook."""


class TerminalLine:
    """A place for the latest line on how training stands: a progress bar of rich's, on standard error.

    ``show`` is told how many steps of all runs are done, the same in words, what time is left, and whether it is the
    last line. The other two classes have the same methods.
    """

    def __init__(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task("", total=total, completed=done)
        self.bar.start()

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Move the bar; rich says what time is left."""
        self.bar.update(self.task, completed=done, description=text)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.stop()


class NotebookLine:
    """A line below the cell of a notebook, replaced in place; IPython's own, so that no widgets are needed."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Replace the line."""
        from IPython.display import display

        content = {"text/plain": printable(text if is_last else text + left)}
        if self.handle is None:
            self.handle = display(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)

    def close(self) -> None:
        """Leave the line as it is."""


class PlainLines:
    """A line on standard error now and then."""

    def __init__(self) -> None:
        self.printed_at = 0.0

    def show(self, done: int, text: str, left: str, *, is_last: bool) -> None:
        """Print the line, where the one before is old enough."""
        now = time.monotonic()
        if now - self.printed_at > PLAIN_EVERY_S or is_last:
            self.printed_at = now
            tell(text + left)

    def close(self) -> None:
        """Nothing is open."""


Line = TerminalLine | NotebookLine | PlainLines


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Display:
    """Context manager in which ``show`` takes each report of the engine."""

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
        """Show the latest steps, rate and scores."""
        if self.quiet:
            return
        if self.line is None:
            self.line = self._begun()
        done = sum(report.step for report in reports)
        text = self._of_one(reports[0]) if len(reports) == 1 else self._of_many(reports)
        self.line.show(done, text, self._left(done), is_last=done == sum(self.totals))

    def _begun(self) -> Line:
        """Say what begins. Returns the place where progress is shown."""
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
        """Steps a second, of all runs together."""
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
