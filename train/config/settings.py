"""Access to a config's settings by flat name, such as ``op`` or ``lr``, for TOML files, flags and callers."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from train.hints import SETTINGS, nearest

from .checks import typed, whole
from .idle import refuse_idle_settings

Config = TypeVar("Config")
"""A run's config; a type variable, because importing ``RunConfig``, which imports this module, would be circular."""


def from_dict(cls: type[Config], data: Any, where: str) -> Config:
    """A dataclass from a dictionary of plain values, nested as its fields are.

    Args:
        cls: the dataclass.
        data: values by field; a missing field takes its default.
        where: the name of the dictionary in error messages.

    Raises:
        ValueError: an unknown field, or a value that is not allowed.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where} = {data!r} is not allowed; it must be a dictionary of fields")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ValueError(
            f"unknown field {unknown[0]!r} in {where} configuration; allowed are {', '.join(sorted(fields))}"
        )
    return cls(**{name: _typed(f, data[name]) for name, f in fields.items() if name in data})


def typed_fields(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``values`` that are fields of ``cls``, converted to the fields' types as in ``override``.

    Raises:
        ValueError: a value has the wrong type.
    """
    return {f.name: typed(f, whole(f, values[f.name])) for f in dataclasses.fields(cls) if f.name in values}


def _typed(home: dataclasses.Field[Any], value: Any) -> Any:
    return value if dataclasses.is_dataclass(value) else typed(home, value)


def override(config: Config, fields: Mapping[str, Any]) -> Config:
    """A copy of ``config`` with fields replaced by flat name, such as ``{"op": "mul", "lr": 3e-4, "steps": 2000}``.

    Setting only ``group`` unsets ``p``, and vice versa. An integer may be written as a float, such as 4e4.

    Raises:
        ValueError: an unknown name (the message suggests the nearest), or a value that is not allowed or has no effect.
    """
    overridden = replaced(config, fields)
    refuse_idle_settings(overridden, fields)
    return overridden


def replaced(config: Config, fields: Mapping[str, Any]) -> Config:
    """``override`` without the check for settings that have no effect, for configs that will change further.

    Raises:
        ValueError: an unknown name (the message suggests the nearest), or a value that is not allowed.
    """
    run: Any = config
    parts = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
    homes = {f.name: (part, f) for part, value in parts.items() if part != "seed" for f in dataclasses.fields(value)}
    homes |= {f.name: ("run", f) for f in dataclasses.fields(run) if f.name == "seed"}
    changes: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if name not in homes:
            raise ValueError(f"unknown setting {name!r}{nearest(name, homes, SETTINGS)}")
        part, home = homes[name]
        changes.setdefault(part, {})[name] = typed(home, whole(home, value))
    task = changes.get("task", {})
    if task.get("group") is not None and "p" not in task:
        task["p"] = None
    elif task.get("p") is not None and "group" not in task and run.task.group is not None:
        task["group"] = None
    of_the_run = changes.pop("run", {})
    made = {part: dataclasses.replace(parts[part], **values) for part, values in changes.items()}
    return dataclasses.replace(run, **made, **of_the_run)
