"""The config of an imported run: a field that its files do not record is ``Unknown`` instead of a default."""

import copy
import dataclasses
from typing import Any, NoReturn

from train.config.run import RunConfig
from train.errors import UsageError

from .origin import Origin


class Unknown:
    """The value of a field that the source does not record: shown as "unknown", and refused in any computation."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return "unknown"

    def __deepcopy__(self, memo: Any) -> "Unknown":
        return self

    def _refuse(self, *_: Any) -> NoReturn:
        raise UsageError(f"unknown: the imported file does not record {self._name}")

    __bool__ = __int__ = __float__ = __index__ = __len__ = __iter__ = __hash__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = _refuse


class ImportedConfig(RunConfig):
    """A RunConfig some of whose fields are Unknown."""

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of every field; unrecorded fields have the value "unknown"."""
        return {name: _shown(value) for name, value in super().to_dict().items()}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    return repr(value) if isinstance(value, Unknown) else value


def known_only(config: RunConfig, origin: Origin) -> RunConfig:
    """The config with an Unknown in place of every field that the origin does not know."""
    values = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            values[f.name] = _part(value, f.name, origin)
        else:
            values[f.name] = value if origin.knows(f.name) else Unknown(f.name)
    return _with(object.__new__(ImportedConfig), values)


def _part(part: Any, name: str, origin: Origin) -> Any:
    """A copy of a part of the config, made without running the checks of its constructor."""
    unknown = [f.name for f in dataclasses.fields(part) if not origin.knows(f"{name}.{f.name}")]
    return _with(copy.copy(part), {field: Unknown(f"{name}.{field}") for field in unknown})


def _with(made: Any, values: dict[str, Any]) -> Any:
    """Set fields of a frozen dataclass, bypassing its constructor and checks; returns the object."""
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made
