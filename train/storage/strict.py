"""JSON from files that anything may have happened to: read strictly, and checked against a declared shape.

A shape is a function of a value and of the place it stands at; it raises ``Malformed`` where the value is not of it.
Shapes are put together from the ones below: ``record({"step": integer()}, {"note": text()})``.
"""

import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from train.errors import DataError

Shape = Callable[[Any, str], None]

INT_MAX = 2**63 - 1
TEXT_MAX = 100_000
"""Longest text, in characters; a command line may be long."""
DEPTH_MAX = 8
"""Deepest nesting of values whose shape is not declared."""


class Malformed(ValueError):
    """A value is not of the shape it should have."""


def parse(data: bytes, path: object, most_values: int) -> Any:
    """The JSON value in ``data``, in UTF-8.

    NaN, infinities, whole numbers beyond 64 bits, a name given twice in an object, NUL and lone surrogates are refused.

    Args:
        data: the bytes; their number is the caller's to limit.
        path: named in errors.
        most_values: upper limit on the number of values, which bounds time and memory.

    Raises:
        DataError: it is no such JSON.
    """
    try:
        return loads(data, most_values)
    except ValueError as error:
        raise DataError(f"{path} is not JSON that can be read: {error}") from error


def loads(data: bytes, most_values: int) -> Any:
    """As ``parse``. Raises ValueError, with the reason alone."""
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
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a name twice")
    return found


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


def _no(value: Any, where: str, must: str) -> Malformed:
    return Malformed(f"{where or 'it'} is {reprlib.repr(value)}; it must be {must}")


def integer(low: int = 0, high: int = INT_MAX) -> Shape:
    """A whole number from ``low`` to ``high``; true and false are none."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _no(value, where, f"a whole number from {low} to {high}")

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Shape:
    """A finite number from ``low`` to ``high``."""

    def check(value: Any, where: str) -> None:
        kind = type(value)
        if (kind is not float and kind is not int) or not math.isfinite(value) or not low <= value <= high:
            raise _no(value, where, "a finite number" + ("" if low == -math.inf else f" from {low:g} to {high:g}"))

    return check


def text(pattern: str | None = None) -> Shape:
    """Text of a sane length, wholly matched by the regular expression ``pattern`` where one is given."""
    compiled = None if pattern is None else re.compile(pattern, re.ASCII)

    def check(value: Any, where: str) -> None:
        if type(value) is not str or len(value) > TEXT_MAX:
            raise _no(value, where, "text")
        if compiled is not None and compiled.fullmatch(value) is None:
            raise _no(value, where, f"text of the form {pattern}")

    return check


def flag(value: Any, where: str) -> None:
    """True or false."""
    if type(value) is not bool:
        raise _no(value, where, "true or false")


def constant(expected: Any) -> Shape:
    """One value alone."""

    def check(value: Any, where: str) -> None:
        if type(value) is not type(expected) or value != expected:
            raise _no(value, where, repr(expected))

    return check


def nullable(shape: Shape) -> Shape:
    """Null, or ``shape``."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            shape(value, where)

    return check


def listed(shape: Shape, most: int) -> Shape:
    """A list of at most ``most`` values of one shape."""

    def check(value: Any, where: str) -> None:
        if type(value) is not list or len(value) > most:
            raise _no(value, where, f"a list of at most {most:,}")
        for i, item in enumerate(value):
            shape(item, f"{where}[{i}]")

    return check


def mapping(shape: Shape) -> Shape:
    """An object with any names and values of one shape."""

    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            raise _no(value, where, "an object")
        for name, item in value.items():
            shape(item, f"{where}.{name[:40]}")

    return check


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, others: Any = None) -> Shape:
    """An object with the ``required`` names, perhaps the ``optional`` ones; other names have the shape ``others``."""
    allowed = {**required, **(optional or {})}

    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            raise _no(value, where, "an object")
        for name in required:
            if name not in value:
                raise Malformed(f"{where or 'it'} has no {name!r}")
        for name, item in value.items():
            shape = allowed.get(name, others)
            if shape is None:
                raise Malformed(f"{where or 'it'} has an unknown {name[:40]!r}")
            shape(item, f"{where}.{name[:40]}" if where else name[:40])

    return check


def free(value: Any, where: str) -> None:
    """Any value nested at most ``DEPTH_MAX`` deep."""
    layer = [value]
    for _ in range(DEPTH_MAX):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, list | dict)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if any(isinstance(item, list | dict) for item in layer):
        raise Malformed(f"{where or 'it'} is nested too deep")


def checked(value: Any, shape: Shape, path: object) -> Any:
    """``value``, if it has this shape.

    Raises:
        DataError: it has not.
    """
    try:
        shape(value, "")
    except Malformed as error:
        raise DataError(f"{path} is not what it should be: {error}") from error
    return value
