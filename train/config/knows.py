"""Settings of a run by name, and whether a piece of code implements them.

Code that computes what a config describes declares in ``KNOWS`` which settings it implements, and with which values.
An undeclared setting is accepted only at its reference value, which means "as if the setting did not exist"; so code
never silently ignores a field that was added to the config later.
"""

import dataclasses
from collections.abc import Container, Iterator, Mapping
from typing import Any

from .reference import reference_of

Knows = Mapping[str, Container[Any]]
"""Values that are implemented, by setting, such as ``{"model.act_fn": {"relu"}}``."""


class _Any(Container[Any]):
    def __contains__(self, value: object) -> bool:
        return True


ANY = _Any()
"""Every value of a setting."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of the config."""

    name: str
    """Part and field, such as ``model.act_fn``; a field of the run itself has no part: ``seed``."""
    value: Any
    default: Any

    @property
    def is_default(self) -> bool:
        """Whether the value is the field's default."""
        return self.value == self.default

    @property
    def is_neutral(self) -> bool:
        """Whether the value is the reference value, which behaves as if the field did not exist."""
        return self.value == reference_of(self.name, self.default)

    def __str__(self) -> str:
        return f"{self.name} = {self.value!r}"


def settings(config: Any) -> Iterator[Setting]:
    """Every field of a run's config, part by part."""
    for part in dataclasses.fields(config):
        inner = getattr(config, part.name)
        if not dataclasses.is_dataclass(inner):
            yield Setting(part.name, inner, part.default)
            continue
        for field in dataclasses.fields(inner):
            yield Setting(f"{part.name}.{field.name}", getattr(inner, field.name), field.default)


def unknown(knows: Knows, config: Any, parts: Container[str] = ANY, but: Container[str] = ()) -> Setting | None:
    """The first setting that is not implemented: neither at its reference value nor at a value in ``knows``.

    Args:
        knows: the implemented values, by setting.
        config: a run's config.
        parts: parts of the config to check ("task", "model", "optim", ...).
        but: settings to skip, whatever their value.

    Raises:
        UndeclaredSetting: a setting has no reference value.
    """
    for setting in settings(config):
        part = setting.name.partition(".")[0]
        if part in parts and setting.name not in but and not setting.is_neutral:
            if setting.name not in knows or setting.value not in knows[setting.name]:
                return setting
    return None
