"""A command line before parsing: names of its flags, conflicts, and normalisation of values."""

import contextlib
import dataclasses
import math
import typing
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from train.config.checks import kinds_of
from train.errors import UsageError
from train.hints import SETTINGS, meant


def types_of(kind: Any) -> dict[str, Any]:
    """The types of a command's flags, by name with underscores; flags of nested dataclasses have no prefix."""
    types: dict[str, Any] = {}
    for name, annotation in typing.get_type_hints(kind).items():
        types |= types_of(annotation) if dataclasses.is_dataclass(annotation) else {name: annotation}
    return types


def flag_name(token: str) -> str | None:
    """The name ``train_frac`` of ``--train-frac`` or ``--train-frac=0.3``; None for a token that is not a flag."""
    is_flag = token.startswith("--") and len(token) > 2
    return token[2:].partition("=")[0].replace("-", "_") if is_flag else None


def given(argv: Sequence[str]) -> set[str]:
    """Names of the flags on a command line."""
    return {name for name in map(flag_name, argv) if name is not None}


def tidy(kind: Any, argv: Sequence[str], prog: str) -> list[str]:
    """``argv`` with integers and lists rewritten in the parser's syntax.

    For an integer flag ``4e4`` becomes 40000. For a list flag ``a,b`` becomes two values, and repetitions of the flag
    are merged. Any other repeated flag overrides the earlier one, so that a script can append to a command.

    Raises:
        UsageError: an unknown flag (with a suggestion), or a value that is not an integer.
    """
    types = types_of(kind)
    lists: dict[str, list[str]] = {}
    tidied: list[str] = []
    last: str | None = None
    for token in argv:
        name = flag_name(token)
        if name is None:
            values = _values(types, last, token)
            lists[last].extend(values) if last in lists else tidied.extend(values)
            last = last if last in lists else None
            continue
        _check_known(types, name, token, prog)
        flag, equals, value = token.partition("=")
        values = _values(types, name, value) if equals else []
        if get_origin(types.get(name)) is tuple:
            lists.setdefault(name, []).extend(values)
        else:
            tidied.append(f"{flag}={values[0]}" if equals else token)
        last = None if equals and name not in lists else name
    return [*tidied, *(text for name, values in lists.items() for text in (_flag(name), *values))]


def _check_known(types: dict[str, Any], name: str, token: str, prog: str) -> None:
    """Refuse an unknown flag; the prefix ``no_`` is allowed for boolean flags.

    Raises:
        UsageError: the flag is unknown; the message suggests a known one.
    """
    if name in types or name == "help" or name.startswith("tyro_"):
        return
    if name.startswith("no_") and types.get(name[3:]) is bool:
        return
    ours, remark = meant(name, types, SETTINGS)
    hint = "" if ours is None else f"; did you mean {_flag(ours)}?{remark}"
    raise UsageError(f"unknown option {token.partition('=')[0]}{hint} (see {prog} --help)")


def _values(types: dict[str, Any], name: str | None, text: str) -> list[str]:
    """The values in a flag's text: several for a list flag, one otherwise."""
    annotation = types.get(name or "")
    if get_origin(annotation) is tuple:
        parts = [part for part in text.split(",") if part]
        return [_whole(name, part) if get_args(annotation)[0] is int else part for part in parts]
    kinds = kinds_of(annotation)
    words = [word for kind in kinds if get_origin(kind) is typing.Literal for word in get_args(kind)]
    is_word = text in words or text == "None" and type(None) in kinds
    return [text if is_word or int not in kinds or float in kinds else _whole(name, text)]


def _whole(name: str | None, text: str) -> str:
    """An integer in decimal digits; 4e4 and 40_000 are accepted, 4.5 and 40,000 are refused."""
    for read in (int, float):
        with contextlib.suppress(ValueError):
            number = read(text)
            if number == int(number if math.isfinite(number) else 0):
                return str(int(number))
    hint = f" (write {text.replace(',', '_')})" if text.replace(",", "").isdigit() else ""
    raise UsageError(f"{_flag(name or '')} {text} is not allowed; it must be a whole number{hint}")


def refuse_together(names: set[str], clashes: Iterable[tuple[str, str, str]]) -> None:
    """Refuse pairs of flags that conflict.

    Args:
        names: the flags on the command line.
        clashes: two names, and why they conflict.

    Raises:
        UsageError: two flags conflict; the message names the first pair.
    """
    for one, other, why in clashes:
        if one in names and other in names:
            raise UsageError(f"{_flag(one)} and {_flag(other)} do not go together: {why}")


def refuse_beside(names: set[str], alone: str, allowed: Iterable[str] = ()) -> None:
    """Refuse other flags, except ``allowed`` ones, beside a flag that prints something and exits.

    Raises:
        UsageError: there is another flag, which would have no effect.
    """
    others = sorted(names - {alone, "help", *allowed})
    if alone in names and others:
        other = _flag(others[0])
        raise UsageError(f"{_flag(alone)} prints and exits, so {other} would do nothing: leave one of them out")


def _flag(name: str) -> str:
    """A flag in command-line form; the name of a positional argument (in capitals) is unchanged."""
    return name if name.isupper() else "--" + name.replace("_", "-")
