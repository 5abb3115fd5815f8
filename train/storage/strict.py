"""Schemas ("shapes") of JSON values, for validating values from files.

A shape is a function of a value and of the value's place in the document, which raises ``Malformed`` if the value does
not have the shape. Shapes are composed, for example ``record({"step": integer()}, {"note": text()})``.
"""

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from train.errors import DataError

from .json_files import INT_MAX

Shape = Callable[[Any, str], None]

TEXT_MAX = 100_000
"""Upper limit on the characters of a string; command lines can be long."""
DEPTH_MAX = 8
"""Upper limit on the nesting of values without a declared shape."""


class Malformed(ValueError):
    """A value does not have the declared shape."""


def _no(value: Any, where: str, must: str) -> Malformed:
    return Malformed(f"{where or 'it'} is {reprlib.repr(value)}; it must be {must}")


def integer(low: int = 0, high: int = INT_MAX) -> Shape:
    """The shape of an integer from ``low`` to ``high``, excluding true and false."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _no(value, where, f"a whole number from {low} to {high}")

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Shape:
    """The shape of a finite number from ``low`` to ``high``."""

    def check(value: Any, where: str) -> None:
        kind = type(value)
        if (kind is not float and kind is not int) or not math.isfinite(value) or not low <= value <= high:
            raise _no(value, where, "a finite number" + ("" if low == -math.inf else f" from {low:g} to {high:g}"))

    return check


def text(pattern: str | None = None) -> Shape:
    """The shape of a string of at most ``TEXT_MAX`` characters that fully matches ``pattern``, if given."""
    compiled = None if pattern is None else re.compile(pattern, re.ASCII)

    def check(value: Any, where: str) -> None:
        if type(value) is not str or len(value) > TEXT_MAX:
            raise _no(value, where, "text")
        if compiled is not None and compiled.fullmatch(value) is None:
            raise _no(value, where, f"text of the form {pattern}")

    return check


def flag(value: Any, where: str) -> None:
    """The shape of a boolean."""
    if type(value) is not bool:
        raise _no(value, where, "true or false")


def constant(expected: Any) -> Shape:
    """The shape of a constant."""

    def check(value: Any, where: str) -> None:
        if type(value) is not type(expected) or value != expected:
            raise _no(value, where, repr(expected))

    return check


def nullable(shape: Shape) -> Shape:
    """The shape of null, or of a value of ``shape``."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            shape(value, where)

    return check


def listed(shape: Shape, most: int) -> Shape:
    """The shape of a list of at most ``most`` values of one shape."""

    def check(value: Any, where: str) -> None:
        if type(value) is not list or len(value) > most:
            raise _no(value, where, f"a list of at most {most:,}")
        for i, item in enumerate(value):
            shape(item, f"{where}[{i}]")

    return check


def mapping(shape: Shape) -> Shape:
    """The shape of an object with arbitrary names and values of one shape."""

    def check(value: Any, where: str) -> None:
        if type(value) is not dict:
            raise _no(value, where, "an object")
        for name, item in value.items():
            shape(item, f"{where}.{name[:40]}")

    return check


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None, others: Any = None) -> Shape:
    """The shape of an object with ``required`` and ``optional`` names; other names have the shape ``others``."""
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
    """The shape of any value nested at most ``DEPTH_MAX`` deep."""
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
    """``value`` itself, after checking its shape.

    Raises:
        DataError: the value does not have the shape; the message names ``path``.
    """
    try:
        shape(value, "")
    except Malformed as error:
        raise DataError(f"{path} is not what it should be: {error}") from error
    return value
