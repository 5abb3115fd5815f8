"""Validation of config fields; each message says what came and what is allowed."""

import dataclasses
import sys
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from train.errors import shown


def typed(field: dataclasses.Field[Any], value: Any) -> Any:
    """``value``, read from a file, converted to the type of ``field``; a float field also accepts integers.

    Raises:
        ValueError: the value is of another type.
    """
    words = []
    for kind in kinds_of(field.type):
        if kind is type(None) and value is None:
            return None
        if get_origin(kind) is Literal:
            if isinstance(value, str) and value in get_args(kind):
                return value
            words.append(f"one of {', '.join(map(repr, get_args(kind)))}")
        elif kind is float:
            if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
                return float(value)
            words.append("a finite number")
        elif kind is bool:
            if isinstance(value, bool):
                return value
            words.append("true or false")
        elif kind in (int, str):
            if isinstance(value, kind) and not isinstance(value, bool):
                return value
            words.append(
                "a whole number" if kind is int else "text" + (f", such as {field.default!r}" if field.default else "")
            )
    raise ValueError(f"{field.name} = {shown(value)} is not allowed; it must be {' or '.join(words)}")


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows: the members of a union, or the annotation itself."""
    return get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)


def whole(field: dataclasses.Field[Any], value: Any) -> Any:
    """``value``, converted to int if ``field`` is an int and ``value`` an integer written as a float (4e4)."""
    kinds = kinds_of(field.type)
    is_wanted = int in kinds and float not in kinds
    return int(value) if is_wanted and isinstance(value, float) and value.is_integer() else value


def check_choices(config: Any) -> None:
    """Check every field annotated with a Literal or bool."""
    for f in dataclasses.fields(config):
        if f.type is bool and not isinstance(getattr(config, f.name), bool):
            raise ValueError(f"{f.name} = {shown(getattr(config, f.name))} is not allowed; it must be true or false")
        allowed = get_args(f.type) if getattr(f.type, "__origin__", None) is Literal else ()
        value = getattr(config, f.name)
        if allowed and value not in allowed:
            raise ValueError(f"{f.name} = {shown(value)} is not allowed; choose one of {', '.join(map(repr, allowed))}")


def check_int(config: Any, name: str, low: int, high: int) -> None:
    """Check that a field is an integer from ``low`` to ``high``, or None if None is its default."""
    value = getattr(config, name)
    if value is None and _is_optional(config, name):
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} = {shown(value)} is not allowed; it must be a whole number from {low} to {high}")


def check_float(config: Any, name: str, low: float, high: float) -> None:
    """Check that a field is a finite number from ``low`` to ``high``; store a float, so that 1 and 1.0 are one run."""
    value = getattr(config, name)
    if value is None and _is_optional(config, name):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(f"{name} = {shown(value)} is not allowed; it must be a finite number")
    if not low <= value <= high:
        raise ValueError(f"{name} = {value!r} is out of range; it must be from {low:g} to {high:g}")
    object.__setattr__(config, name, float(value))


def _is_finite(value: int | float) -> bool:
    """Whether a number is finite, and within the range of a float if it is an int."""
    return abs(value) <= sys.float_info.max


def _is_optional(config: Any, name: str) -> bool:
    return any(f.name == name and f.default is None for f in dataclasses.fields(config))
