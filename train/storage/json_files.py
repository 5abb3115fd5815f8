"""JSON from files, as JSON is defined: nothing that Python would read beyond it, and nothing too large or too deep."""

import json
import math
from pathlib import Path
from typing import Any

from .files import read_small

MOST_JSON = 10_000_000
"""Bytes of a JSON file. Of all texts, nested lists take most memory when read: 24 times their length."""


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """The value in a JSON file, a regular one of at most ``most`` bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, too large, or not JSON.
    """
    return parse_json(read_small(path, most))


def parse_json(data: bytes) -> Any:
    """The value of JSON text in UTF-8.

    Raises:
        ValueError: it is not JSON, holds numbers that are not finite or a name twice, or is nested too deeply.
    """
    try:
        return json.loads(
            data.decode(), parse_constant=_constant, parse_float=_finite, object_pairs_hook=_without_repeats
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the numbers there are")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
