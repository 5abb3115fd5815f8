"""Code shared by every command: parsing, one-line errors, exit statuses, signals."""

import contextlib
import inspect
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from train.errors import DataError, DivergedError, MissingStep, Stopped, UndeclaredSetting, UsageError

from .flags import tidy
from .terminal import say, tell, tell_error


def run_command(body: Callable[[], int]) -> int:
    """Run a command's body, turning errors into one line on standard error and an exit status.

    0 done · 1 the run failed or an internal error · 2 bad input · 3 data, disk or memory · 4 some of several runs
    failed · 130 interrupted · 128 + n stopped by signal n after saving. Set GROKLENS_DEBUG=1 to see tracebacks.
    """
    try:
        return body()
    except UsageError as error:
        return _fail(error, 2)
    except BrokenPipeError:  # the reader of our output has closed the pipe, as in `... | head`
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
        tell(f"{stopped}; saved: run the command again to resume")
        return 128 + stopped.signum
    except Exception as error:  # a bug: print the traceback, escaped, since it may quote untrusted text
        if type(error).__name__ == "OutOfMemoryError":  # by name, so that torch is not imported for an error
            advice = "lower --batch-size, --d-model or --p, or give fewer --seeds at a time"
            return _fail(MemoryError(f"the device is out of memory: {str(error).split('. ')[0]}: {advice}"), 3)
        _tell_traceback(error)
        return 1


def _fail(error: Exception, status: int) -> int:
    if os.environ.get("GROKLENS_DEBUG"):
        _tell_traceback(error)
    tell_error(error.args[0] if isinstance(error, MissingStep) else error)
    return status


def _tell_traceback(error: Exception) -> None:
    tell(*(line for text in traceback.format_exception(error) for line in text.rstrip("\n").split("\n")))


def parse(kind: Any, argv: list[str], prog: str, default: Any, *, pairs: bool = False) -> Any:
    """Parse flags into the dataclass ``kind`` with tyro; ``--help``, ``--version`` and completion print and exit.

    Args:
        kind: the dataclass, whose docstring describes the command.
        argv: the command line.
        prog: the module's command, such as ``python -m train.run``; a console script shows its own name instead.
        default: an instance with defaults, or ``tyro.MISSING_NONPROP``.
        pairs: give every switch a negation (``--no-x``), for switches that may be on by default.

    Raises:
        UsageError: tyro's error message, in one line, or an error of ``train.cli.flags.tidy``.
    """
    import tyro

    prog = called(prog)
    print_version(argv)
    if argv and argv[0].startswith(("--tyro-", "--tyro_")) and " " in prog:
        raise UsageError("only a console script can be completed: see groklens-train --tyro-print-completion bash")
    argv = tidy(kind, argv, prog)
    markers = (tyro.conf.OmitArgPrefixes, *(() if pairs else (tyro.conf.FlagCreatePairsOff,)))
    about = f"{inspect.getdoc(kind)}\n\nWith --version, print the version and exit."
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), _plain_where_asked():
            return tyro.cli(kind, args=argv, prog=prog, default=default, description=about, config=markers)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(_one_line(complaint.getvalue(), prog)) from None


def required(metavar: str, unless: str = "") -> Any:
    """An annotation for a required argument, shown as ``metavar`` in the help.

    The argument has a default nevertheless, so that the command can report a missing argument with an example.
    """
    import tyro

    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(required, {unless})" if unless else "(required)")


def called(prog: str) -> str:
    """The command as the user typed it: the console script's name instead of ``python -m module``."""
    script = Path(sys.argv[0]).stem
    return re.sub(r"^python -m \S+", script, prog) if script.startswith("groklens-") else prog


def print_version(argv: list[str]) -> None:
    """Print the version and exit if ``--version`` is present."""
    if "--version" in argv:
        from train.version import version  # reads the installed package's metadata

        say(f"groklens {version()}")
        raise SystemExit(0)


@contextlib.contextmanager
def _plain_where_asked() -> Iterator[None]:
    """Print tyro's help without colours if NO_COLOR is set, which tyro ignores on a terminal."""
    if not os.environ.get("NO_COLOR"):
        yield
        return
    data = io.BytesIO()
    text = io.TextIOWrapper(data, encoding=sys.stdout.encoding or "utf-8")
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        text.flush()
        if data.getvalue():
            say(*data.getvalue().decode(text.encoding).rstrip("\n").split("\n"))


def _one_line(box: str, prog: str) -> str:
    """One line from tyro's error box (ASCII art if stderr is not UTF-8): the first paragraph, and a suggested flag."""
    _title, *lines = [line.strip(" │╭╮╰╯|") for line in box.splitlines()] or [""]
    paragraphs = [" ".join(text.split()) for text in re.split(r"\n[─-]*\n|^[─-]+\n", "\n".join(lines))]
    first = next((text for text in paragraphs if text.strip("─- ")), "bad command line")
    text = re.sub(r"^Error parsing (task|model|optim|schedule|run)?: ", "", first)
    suggested = re.search(r"Perhaps you meant:\s*(--[\w-]+)", " ".join(paragraphs))
    hint = f"; did you mean {suggested[1]}?" if suggested else ""
    return f"{text.rstrip('.')}{hint} (see {prog} --help)"


@contextlib.contextmanager
def signals(second: Callable[[int], Any] = lambda signum: os._exit(128 + signum)) -> Iterator[Callable[[], int | None]]:
    """A context that records SIGINT and SIGTERM. Yields a function that returns the first signal's number, or None.

    Only the main thread can handle signals; in any other thread the context does nothing and the function returns None.

    Args:
        second: called with the number of a second signal; by default the process exits at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    caught: list[int] = []

    def note(signum: int, _frame: Any) -> None:
        if caught:
            second(signum)
        caught.append(signum)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
