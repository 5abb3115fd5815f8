"""Strict reading of JSON files: standard JSON only, with limits on size and nesting."""

import json
import math
import re
from pathlib import Path
from typing import Any

from train.errors import DataError

from .files import read_small

INT_MAX = 2**63 - 1
MOST_BYTES = 10_000_000
"""Upper limit on the bytes of a JSON file."""
MOST_VALUES = 1_000_000
"""Upper limit on the values in a JSON file."""


def read_json(path: Path) -> Any:
    """The value in a JSON file, a regular file of at most ``MOST_BYTES`` bytes and ``MOST_VALUES`` values.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not a regular file, is too large, or does not hold strict JSON (see ``parse_json``).
    """
    return loads(read_small(path, MOST_BYTES), MOST_VALUES)


def parse_json(data: bytes, path: object, most_values: int) -> Any:
    """The JSON value in ``data``, in UTF-8.

    NaN, infinities, integers beyond 64 bits, duplicate names in an object, NUL and lone surrogates are refused.

    Args:
        data: the bytes, whose number the caller limits.
        path: name of the source in error messages.
        most_values: upper limit on the number of values, which bounds time and memory.

    Raises:
        DataError: the data are not strict JSON.
    """
    try:
        return loads(data, most_values)
    except ValueError as error:
        raise DataError(f"{path} is not JSON that can be read: {error}") from error


def loads(data: bytes, most_values: int) -> Any:
    """The JSON value in ``data``, under the rules of ``parse_json``.

    Raises:
        ValueError: the data are not strict JSON; the message gives only the reason, without a file name.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > most_values:
        raise ValueError(f"it holds more than {most_values:,} values")
    try:
        text = data.decode()
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite, parse_int=_small
        )
        if "\\u" in text:
            _check_escapes(value)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object has a name twice")
    return names


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is out of a float's range")
    return value


def _small(digits: str) -> int:
    if len(digits) > 20 or not -INT_MAX - 1 <= int(digits) <= INT_MAX:
        raise ValueError("a whole number takes more than 64 bits")
    return int(digits)


def _check_escapes(value: Any) -> None:
    plain = json.dumps(value, ensure_ascii=False)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair") from None
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", plain):
        raise ValueError("a text holds NUL")
