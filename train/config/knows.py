"""Settings of a run by name, and whether a piece of code knows them.

A piece of code that computes what a config asks for says in ``KNOWS`` which settings it implements, and with which
values. One that it has never heard of is known at its default alone, which means "as if it were not there"; so a field
added to the config is never ignored by code that was written before it.
"""

import dataclasses
from collections.abc import Container, Iterator, Mapping
from typing import Any

from .run import RunConfig

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
    """Part and field: ``model.act_fn``; ``seed`` is the run's own."""
    value: Any
    default: Any

    @property
    def is_default(self) -> bool:
        """Whether it is as if the field were not there."""
        return self.value == self.default

    def __str__(self) -> str:
        return f"{self.name} = {self.value!r}"


def settings(config: RunConfig) -> Iterator[Setting]:
    """Every field of a run's config, parts in order."""
    for part in dataclasses.fields(config):
        inner = getattr(config, part.name)
        if not dataclasses.is_dataclass(inner):
            yield Setting(part.name, inner, part.default)
            continue
        for field in dataclasses.fields(inner):
            yield Setting(f"{part.name}.{field.name}", getattr(inner, field.name), field.default)


def unknown(knows: Knows, config: RunConfig, parts: Container[str] = ANY, but: Container[str] = ()) -> Setting | None:
    """The first setting that is not implemented: neither at its default, nor of a known value.

    Args:
        knows: what is implemented.
        config: the run's.
        parts: which parts of the config the code reads ("task", "model", "optim", ...).
        but: settings that it does not read, whatever their value.
    """
    for setting in settings(config):
        part = setting.name.partition(".")[0]
        if part in parts and setting.name not in but and not setting.is_default:
            if setting.name not in knows or setting.value not in knows[setting.name]:
                return setting
    return None
