"""The log of a run: one JSON object per line, each with a checksum that chains it to the lines before.

A row's ``check`` is BLAKE2b (8 bytes) of the check before it and of the row's own text; the first row is chained to
the run's id. So a row's check stands for all of the log up to it, and names the run.
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
"""Most bytes of a row."""
SCORES = ("train_loss", "test_loss", "train_acc", "test_acc")
ROW = record({"step": STEP}, {name: number() for name in (*SCORES, "batch_loss", "wall_s")})
ENDING = re.compile(rb', "check": "([0-9a-f]{16})"}')


@dataclass(frozen=True)
class Mark:
    """A position in a log: a number of rows and the check of the last of them ("" where there are none)."""

    rows: int = 0
    check: str = ""


@dataclass
class Log:
    """The content of a log file, up to the first damaged line.

    Attributes:
        rows: the good rows, without their checks.
        checks: of each row; "" for rows of the older format, which have none.
        ends: position in the file, in bytes, after each row.
        fault: the line after them that is not good, from 1, and why; None where all are.
        torn: bytes after the last line's end: what a kill leaves of a row.
        is_old: whether its rows carry no checks.
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
        """The position after all good rows."""
        return self.mark_at(len(self.rows))

    @property
    def size(self) -> int:
        """Bytes of the good rows."""
        return self.ends[-1] if self.ends else 0

    def mark_at(self, rows: int) -> Mark:
        """The position after the first ``rows`` rows."""
        return Mark(rows, self.checks[rows - 1] if rows else "")

    def rows_before(self, step: int) -> int:
        """The number of rows before the first one at or after ``step``."""
        n = len(self.rows)
        while n and self.rows[n - 1]["step"] >= step:
            n -= 1
        return n

    def end(self) -> "End":
        """The end of the log, where further rows are appended."""
        n = len(self.rows)
        steps = tuple(self.rows[i]["step"] if i >= 0 else -1 for i in (n - 2, n - 1))
        return End(self.run, self.size, (self.mark_at(max(n - 1, 0)), self.mark), steps)


@dataclass
class End:
    """The end of a log: all that appending needs to know.

    Attributes:
        run: the run's id.
        size: bytes of the file.
        marks: before the last row, and after it.
        steps: of the last two rows; -1 where there are none.
    """

    run: str
    size: int
    marks: tuple[Mark, Mark]
    steps: tuple[int, ...]

    def lines(self, rows: Sequence[dict[str, Any]], path: Path) -> tuple[bytes, "End"]:
        """The lines of further rows, and the log's end after them.

        Raises:
            DataError: one is no row of a log, or its step does not come after the one before.
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
        """The position before ``step``; None where more rows than the last are at or after ``step``."""
        if self.steps[1] < step:
            return self.marks[1]
        return self.marks[0] if self.steps[0] < step else None


def chained(before: str, body: bytes) -> str:
    """The check of a row whose text, without its check and the last brace, is ``body``."""
    return hashlib.blake2b(before.encode() + body, digest_size=8).hexdigest()


def parse_log(data: bytes, run: str, *, old: bool) -> Log:
    """The content of a log file's bytes, up to the first damaged line.

    Args:
        data: the file.
        run: the run's id, which the rows are chained to.
        old: allow rows of the older format, which have no checks.
    """
    found = Log(run)
    start, number_of = 0, 0
    first = data[: max(0, data.find(b"\n"))]
    found.is_old = old and b'"check"' not in first
    while (end := data.find(b"\n", start)) >= 0:
        number_of += 1
        try:
            row, check = _row(data[start:end], found)
            _check_row(row, found.rows[-1]["step"] if found.rows else -1)
        except ValueError as error:
            found.fault = (number_of, str(error))
            return found
        found.rows.append(row)
        found.checks.append(check)
        found.ends.append(end + 1)
        start = end + 1
    found.torn = len(data) - start
    return found


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
    """A row's JSON. The shape of a row excludes what ``json_files.loads`` refuses, so json's faster reader will do."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON that can be read: {error}") from error


def _check_row(row: Any, last: int) -> None:
    """Check one row of a log; raises Malformed."""
    ROW(row, "")
    if row["step"] <= last:
        raise Malformed(f"has step {row['step']} after step {last}")
    if "wall_s" in row and not all(name in row for name in SCORES):  # an import's rows hold what their source lists
        raise Malformed("is half of an evaluation")
