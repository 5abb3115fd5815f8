"""Translation of the theory's errors into the errors of commands."""

import contextlib
from collections.abc import Iterator

from interp.theory.checks import OutOfRange, Unsolvable
from train.errors import DataError, UsageError


@contextlib.contextmanager
def theory_errors() -> Iterator[None]:
    """Turn errors of the theory into those of a command, message for message; a context manager and a decorator.

    Raises:
        UsageError: a parameter is out of the theory's range (exit status 2).
        DataError: the calculation has no result (exit status 3).
    """
    try:
        yield
    except OutOfRange as error:
        raise UsageError(str(error)) from error
    except Unsolvable as error:
        raise DataError(str(error)) from error
