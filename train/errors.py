"""Errors that users meet, and the exit statuses they become."""


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
