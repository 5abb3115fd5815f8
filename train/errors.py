"""Errors that users meet, the exit statuses they become, and values as their messages show them."""

from typing import Any


class UsageError(ValueError):
    """Bad input: one line saying what came, what is allowed and what to do (exit status 2)."""


class Busy(UsageError):
    """Another process has it in hand."""


class MissingStep(UsageError, KeyError):
    """No snapshot at the step asked for."""


class DataError(RuntimeError):
    """Data on disk or the disk itself is at fault; names the file (exit status 3)."""


class MissingFile(DataError):
    """A file that should be there is not."""


class DivergedError(RuntimeError):
    """The loss stopped being a number (exit status 1)."""


class UndeclaredSetting(RuntimeError):
    """A setting that nothing obeys: the package itself is at fault (exit status 1)."""


class Stopped(Exception):  # noqa: N818 - not an error: the run was saved
    """Training was stopped by a signal after saving."""

    def __init__(self, signum: int, step: int | None = None) -> None:
        super().__init__(f"stopped by signal {signum}" + ("" if step is None else f" at step {step}"))
        self.signum = signum
        self.step = step


def shown(value: Any) -> str:
    """A value as messages show it: its beginning, where it is long, and whatever it is.

    Python refuses to write out a whole number of more than 4,300 digits.
    """
    if isinstance(value, int) and abs(value) >= 10**MOST_SHOWN:
        return f"a whole number of {value.bit_length():,} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a list that holds such numbers, or is nested deeply
        return f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


MOST_SHOWN = 200
"""Characters of a value in a message."""
