"""Exceptions with their exit statuses, and the formatting of values in error messages."""

from typing import Any


class UsageError(ValueError):
    """Bad input: one line saying what came, what is allowed and what to do (exit status 2)."""


class Busy(UsageError):
    """Another process holds the lock of a run."""


class MissingStep(UsageError, KeyError):
    """There is no snapshot at a requested step."""


class DataError(RuntimeError):
    """A file is damaged or cannot be read or written; the message names the file (exit status 3)."""


class MissingFile(DataError):
    """A file is missing."""


class DivergedError(RuntimeError):
    """The loss became NaN or infinite (exit status 1)."""


class UndeclaredSetting(RuntimeError):
    """A setting that no code declares it implements, which is a bug in the package (exit status 1)."""


class Stopped(Exception):  # noqa: N818 - not an error: the run was saved
    """Training was stopped by a signal after saving."""

    def __init__(self, signum: int, step: int | None = None) -> None:
        super().__init__(f"stopped by signal {signum}" + ("" if step is None else f" at step {step}"))
        self.signum = signum
        self.step = step


def shown(value: Any) -> str:
    """The repr of a value for an error message, truncated to ``MOST_SHOWN`` characters.

    Very large integers are described by their number of bits: Python refuses to convert more than 4,300 digits.
    """
    if isinstance(value, int) and abs(value) >= 10**MOST_SHOWN:
        return f"a whole number of {value.bit_length():,} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a list of such numbers, or one that is nested too deep
        return f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


MOST_SHOWN = 200
"""Most characters of a value in a message."""
