"""The log file of a run, to which the holder of the run's lock appends rows."""

from typing import Any

from train.errors import DataError

from .files import append, signature
from .log import End
from .reading import RunReader


class LogFile:
    """Appends rows to a run's log; the log's end is cached as long as the file is not changed otherwise."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader
        self.path = reader.path / "log.jsonl"
        self._end: End | None = None

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Append rows in one durable write.

        Raises:
            DataError: a row is not a valid log row (see ``train.storage.log``), or the log is damaged.
        """
        data, end = self.end().lines(rows, self.path)
        size, self._end = end.size - len(data), None
        append(self.path, data, size)
        self._end = end

    def end(self) -> End:
        """The end of the log.

        Raises:
            DataError: the log does not end in a complete row with a checksum.
        """
        on_disk = signature(self.path)
        size = 0 if on_disk is None else on_disk[1]
        if self._end is None or self._end.size != size:
            log = self.reader.log()
            if log.fault is not None or log.torn or log.is_old:
                raise DataError(f"{self.path} cannot be added to: it does not end in a whole row of ours")
            self._end = log.end()
            self.reader.forget_log()
        return self._end

    def forget(self) -> None:
        """Discard the cached end, because the file was changed by other code."""
        self._end = None
