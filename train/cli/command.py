"""What every command of ours shares: one-line errors, exit statuses, signals."""

import contextlib
import io
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from train.errors import DataError, DivergedError, MissingStep, Stopped, UndeclaredSetting, UsageError

from .flags import tidy
from .terminal import tell, tell_error


def run_command(body: Callable[[], int]) -> int:
    """Run a command's body, turning errors into one line on standard error and an exit status.

    0 done · 1 the run failed or an internal error · 2 bad input · 3 data, disk or memory · 4 some of several runs
    failed · 130 interrupted ·
    128 + n stopped by signal n after saving. Set GROKLENS_DEBUG=1 to see tracebacks.
    """
    try:
        return body()
    except UsageError as error:
        return _fail(error, 2)
    except BrokenPipeError:  # the reader of our output left, as in `... | head`
        return 1
    except (DataError, OSError) as error:
        return _fail(error, 3)
    except (DivergedError, UndeclaredSetting) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        tell("interrupted; what was written whole stays")
        return 130
    except MemoryError as error:
        return _fail(MemoryError(f"not enough memory: {error}"), 3)
    except Stopped as stopped:
        tell(f"{stopped}; saved: run again to go on")
        return 128 + stopped.signum
    except Exception as error:  # ours: the traceback is for us, but may quote text of others
        if type(error).__name__ == "OutOfMemoryError":  # by name: a command that is refused does not wait for torch
            advice = "lower --batch-size, --d-model or --p, or give fewer --seeds at a time"
            return _fail(MemoryError(f"the device's memory ends: {str(error).split('. ')[0]}: {advice}"), 3)
        _tell_traceback(error)
        return 1


def _fail(error: Exception, status: int) -> int:
    if os.environ.get("GROKLENS_DEBUG"):
        _tell_traceback(error)
    tell_error(error.args[0] if isinstance(error, MissingStep) else error)
    return status


def _tell_traceback(error: Exception) -> None:
    tell(*(line for text in traceback.format_exception(error) for line in text.rstrip("\n").split("\n")))


def parse(kind: Any, argv: list[str], prog: str, default: Any) -> Any:
    """Parse flags into the dataclass ``kind`` with tyro; ``--help`` prints and exits.

    Raises:
        UsageError: tyro's complaint, in one line, or that of ``train.cli.flags.tidy``.
    """
    import tyro

    argv = tidy(kind, argv, prog)

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=argv, prog=prog, default=default, config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(_one_line(complaint.getvalue(), prog)) from None


def _one_line(box: str, prog: str) -> str:
    """The first paragraph below the title of tyro's error box (which is plain ASCII without UTF-8), and its advice."""
    _title, *lines = [line.strip(" │╭╮╰╯|") for line in box.splitlines()] or [""]
    paragraphs = [" ".join(text.split()) for text in re.split(r"\n[─-]*\n|^[─-]+\n", "\n".join(lines))]
    first = next((text for text in paragraphs if text.strip("─- ")), "bad command line")
    text = re.sub(r"^Error parsing run(\.\w+)?: ", "", first)
    suggested = re.search(r"Perhaps you meant:\s*(--[\w-]+)", " ".join(paragraphs))
    hint = f"; did you mean {suggested[1]}?" if suggested else ""
    return f"{text.rstrip('.')}{hint} (see {prog} --help)"


@contextlib.contextmanager
def signals() -> Iterator[Callable[[], int | None]]:
    """Note SIGINT and SIGTERM instead of dying; a second one exits at once. Yields a poll for the first."""
    caught: list[int] = []

    def note(signum: int, _frame: Any) -> None:
        if caught:
            os._exit(128 + signum)
        caught.append(signum)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
