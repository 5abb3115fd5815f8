"""Configs from plain values: of JSON, or of settings by their flat names, as TOML files and callers give them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from train.hints import SETTINGS, nearest

from .checks import typed, whole
from .idle import refuse_idle_settings
from .model import ModelConfig
from .optim import OptimConfig
from .run import RunConfig, ScheduleConfig
from .task import TaskConfig


def from_json(data: dict[str, Any]) -> RunConfig:
    """Inverse of ``RunConfig.to_json``; fields absent from ``data`` take their defaults.

    Raises:
        ValueError: an unknown field, or a value that is not allowed.
    """
    parts = {"task": TaskConfig, "model": ModelConfig, "optim": OptimConfig, "schedule": ScheduleConfig}
    made = {name: _from_dict(cls, data.get(name, {}), name) for name, cls in parts.items()}
    rest = {name: value for name, value in data.items() if name not in parts}
    return _from_dict(RunConfig, {**made, **rest}, "run")


def _from_dict(cls: type, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{where} = {data!r} is not allowed; it must be a dictionary of fields")
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(
            f"unknown field {unknown[0]!r} in {where} configuration; allowed are {', '.join(sorted(known))}"
        )
    return cls(**{f.name: _typed(f, data[f.name]) for f in dataclasses.fields(cls) if f.name in data})


def typed_fields(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the fields of a dataclass, by name, as ``override`` takes them.

    Raises:
        ValueError: one is of another type.
    """
    return {f.name: typed(f, whole(f, given[f.name])) for f in dataclasses.fields(cls) if f.name in given}


def _typed(home: dataclasses.Field[Any], value: Any) -> Any:
    return value if dataclasses.is_dataclass(value) else typed(home, value)


def override(config: RunConfig, fields: Mapping[str, Any]) -> RunConfig:
    """``config`` with fields replaced by their flat names, such as ``{"op": "mul", "lr": 3e-4, "steps": 2000}``.

    Giving ``group`` alone drops ``p``, and the reverse. A whole number may be written as a float, as 4e4.

    Raises:
        ValueError: an unknown name (the nearest is named), or a value that is not allowed, or does nothing.
    """
    made = replaced(config, fields)
    refuse_idle_settings(made, fields)
    return made


def replaced(config: RunConfig, fields: Mapping[str, Any]) -> RunConfig:
    """``override`` of a config to which more may be changed: values may do nothing yet.

    Raises:
        ValueError: an unknown name (the nearest is named), or a value that is not allowed.
    """
    parts = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    homes = {f.name: (part, f) for part, value in parts.items() if part != "seed" for f in dataclasses.fields(value)}
    homes |= {f.name: ("run", f) for f in dataclasses.fields(config) if f.name == "seed"}
    changes: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if name not in homes:
            raise ValueError(f"unknown setting {name!r}{nearest(name, homes, SETTINGS)}")
        part, home = homes[name]
        changes.setdefault(part, {})[name] = typed(home, whole(home, value))
    task = changes.get("task", {})
    if task.get("group") is not None and "p" not in task:
        task["p"] = None
    elif task.get("p") is not None and "group" not in task and config.task.group is not None:
        task["group"] = None
    run = changes.pop("run", {})
    made = {part: dataclasses.replace(parts[part], **values) for part, values in changes.items()}
    return dataclasses.replace(config, **made, **run)
