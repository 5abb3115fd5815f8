"""The log of a run: one JSON object per line, each with a checksum that chains it to the lines before.

A row's ``check`` is BLAKE2b (8 bytes) of the previous row's check and of the row's own text; the first row is chained
to the run's id. So a row's check covers the run's id and the whole log up to the row.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.errors import DataError

from .documents import STEP
from .strict import Malformed, number, record

ROW_BYTES = 400
"""Upper limit on the bytes of a row."""
SCORES = ("train_loss", "test_loss", "train_acc", "test_acc")
ROW = record({"step": STEP}, {name: number() for name in (*SCORES, "batch_loss", "wall_s")})
ENDING = re.compile(rb', "check": "([0-9a-f]{16})"}')


@dataclass(frozen=True)
class Mark:
    """A position in a log: a number of rows, and the check of the last of these rows ("" if there are none)."""

    rows: int = 0
    check: str = ""


@dataclass
class Log:
    """The content of a log file, up to the first damaged line.

    Attributes:
        run: the run's id.
        rows: the valid rows, without their checks.
        checks: check of each row; "" in the older format, which has no checks.
        ends: position in the file, in bytes, after each row.
        fault: number (from 1) of the first damaged line, and the reason; None if there is no damaged line.
        torn: bytes after the last complete line, left by a process that was killed while writing.
        is_old: whether the log has the older format, without checks.
    """

    run: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    fault: tuple[int, str] | None = None
    torn: int = 0
    is_old: bool = False

    @property
    def mark(self) -> Mark:
        """The position after all valid rows."""
        return self.mark_at(len(self.rows))

    @property
    def size(self) -> int:
        """Bytes of the valid rows."""
        return self.ends[-1] if self.ends else 0

    def mark_at(self, rows: int) -> Mark:
        """The position after the first ``rows`` rows."""
        return Mark(rows, self.checks[rows - 1] if rows else "")

    def rows_before(self, step: int) -> int:
        """The number of rows with steps below ``step``."""
        n = len(self.rows)
        while n and self.rows[n - 1]["step"] >= step:
            n -= 1
        return n

    def end(self) -> "End":
        """The end of the log, for appending further rows."""
        n = len(self.rows)
        steps = tuple(self.rows[i]["step"] if i >= 0 else -1 for i in (n - 2, n - 1))
        return End(self.run, self.size, (self.mark_at(max(n - 1, 0)), self.mark), steps)


@dataclass
class End:
    """The end of a log: the state needed to append rows.

    Attributes:
        run: the run's id.
        size: bytes of the file.
        marks: positions before and after the last row.
        steps: steps of the last two rows; -1 for missing rows.
    """

    run: str
    size: int
    marks: tuple[Mark, Mark]
    steps: tuple[int, ...]

    def lines(self, rows: Sequence[dict[str, Any]], path: Path) -> tuple[bytes, "End"]:
        """The lines of further rows, and the log's end after them.

        Raises:
            DataError: a row does not have the schema of a log row, or its step does not exceed the previous one.
        """
        lines, marks, steps = [], self.marks, self.steps
        for row in rows:
            try:
                _check_row(row, steps[1])
            except Malformed as error:
                raise DataError(f"{path}: a row cannot be logged: {error}") from error
            body = json.dumps(row)[:-1].encode()
            check = chained(marks[1].check or self.run, body)
            lines.append(body + b', "check": "' + check.encode() + b'"}\n')
            marks, steps = (marks[1], Mark(marks[1].rows + 1, check)), (steps[1], row["step"])
        data = b"".join(lines)
        return data, End(self.run, self.size + len(data), marks, steps)

    def mark_before(self, step: int) -> Mark | None:
        """The position before ``step``; None if that is further back than before the last row."""
        if self.steps[1] < step:
            return self.marks[1]
        return self.marks[0] if self.steps[0] < step else None


def chained(before: str, body: bytes) -> str:
    """The check of a row with the text ``body``, which excludes the check and the closing brace."""
    return hashlib.blake2b(before.encode() + body, digest_size=8).hexdigest()


def parse_log(data: bytes, run: str, *, old: bool) -> Log:
    """The content of a log file's bytes, up to the first damaged line.

    Args:
        data: the file.
        run: the run's id, to which the rows are chained.
        old: allow rows of the older format, which have no checks.
    """
    log = Log(run)
    start, line_number = 0, 0
    first = data[: max(0, data.find(b"\n"))]
    log.is_old = old and b'"check"' not in first
    while (end := data.find(b"\n", start)) >= 0:
        line_number += 1
        try:
            row, check = _row(data[start:end], log)
            _check_row(row, log.rows[-1]["step"] if log.rows else -1)
        except ValueError as error:
            log.fault = (line_number, str(error))
            return log
        log.rows.append(row)
        log.checks.append(check)
        log.ends.append(end + 1)
        start = end + 1
    log.torn = len(data) - start
    return log


def _row(line: bytes, log: Log) -> tuple[dict[str, Any], str]:
    if len(line) > ROW_BYTES:
        raise ValueError("is longer than a row")
    if log.is_old:
        return _loads(line), ""
    match = ENDING.match(line, max(0, len(line) - 30))
    if match is None or match.end() != len(line):
        raise ValueError("carries no checksum")
    body, check = line[: match.start()], match[1].decode()
    if chained(log.checks[-1] if log.checks else log.run, body) != check:
        raise ValueError("is damaged, or follows a line that is missing: its checksum is another")
    return _loads(body + b"}"), check


def _loads(text: bytes) -> Any:
    """The JSON of a row, by the faster ``json.loads``: a row's schema excludes what ``json_files.loads`` refuses."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON that can be read: {error}") from error


def _check_row(row: Any, last: int) -> None:
    """Check one row of a log; raises Malformed."""
    ROW(row, "")
    if row["step"] <= last:
        raise Malformed(f"has step {row['step']} after step {last}")
    # imported rows have no wall_s and may be incomplete
    if "wall_s" in row and not all(name in row for name in SCORES):
        raise Malformed("is half of an evaluation")
