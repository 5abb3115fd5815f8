"""The specification of a sweep: a TOML file of base, axes, arms, seeds and stop rule, and the grid that they span."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.cli.arguments import MOST_SEEDS, parse_seeds, parse_toml, read_text
from train.config.idle import refuse_idle_settings
from train.config.presets import find_preset
from train.config.run import RunConfig
from train.config.settings import replaced, typed_fields
from train.engine.schedule import StopRule
from train.errors import UsageError, shown
from train.hints import nearest

PARTS = ("base", "axes", "arms", "seeds", "stop", "slurm")
"""Keys of a sweep file: settings, lists of values, named tables of settings, seeds, the stop rule, Slurm options."""

MOST_RUNS = 10_000
"""Largest number of runs of a sweep, all of which are kept in memory and in one JSON file."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep's grid."""

    config: RunConfig
    at: dict[str, Any]
    """The run's coordinates: its arm (if the sweep has arms) and its value on each axis."""


@dataclass(frozen=True)
class Spec:
    """A checked specification: every combination is a run that can be trained."""

    name: str
    text: str
    """Text of the file."""
    axes: tuple[str, ...]
    """Names of the coordinates of a run: "arm" first, if the sweep has arms, then the axes; not the seed."""
    cells: tuple[Cell, ...]
    stop: StopRule | None
    slurm: dict[str, Any]


def read_spec(path: Path) -> Spec:
    """The specification in a file.

    Raises:
        UsageError: the file cannot be read, has an unknown name, defines no runs, or has an impossible combination.
    """
    text = read_text(path)
    return parse_spec(parse_toml(text, str(path)), path.stem, text, path)


def parse_spec(content: dict[str, Any], name: str, text: str, where: str | Path) -> Spec:
    """The specification in a file's parsed contents; error messages begin with ``where``, the file's name.

    Raises:
        UsageError: as ``read_spec``.
    """
    for part in content:
        if part not in PARTS:
            raise UsageError(f"{where}: unknown {part!r}{nearest(part, PARTS)}; allowed are {', '.join(PARTS)}")
    try:
        base = _base(_table(content, "base"))
        axes = _axes(_table(content, "axes"), base)
        arms = _arms(_table(content, "arms"), axes)
        seeds = _seeds(content.get("seeds", [0]))
        _count(axes, arms, seeds)
        cells = tuple(_cells(base, axes, arms, seeds))
        stop = _stop(_table(content, "stop")) if "stop" in content else None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    if not cells:
        raise UsageError(f"{where}: the sweep has no runs: give each axis, and seeds, at least one value")
    names = (*(("arm",) if arms != {"": {}} else ()), *axes)
    return Spec(name, text, names, cells, stop, _table(content, "slurm"))


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{name} = {shown(table)} is not allowed; it must be a table, [{name}]")
    return table


def _base(settings: dict[str, Any]) -> RunConfig:
    preset = settings.get("preset", "nanda")
    if not isinstance(preset, str):
        raise UsageError(f"preset = {shown(preset)} is not allowed; it must be a preset's name")
    return replaced(find_preset(preset).config, {name: value for name, value in settings.items() if name != "preset"})


def _axes(axes: dict[str, Any], base: RunConfig) -> dict[str, list[Any]]:
    for name, values in axes.items():
        if not isinstance(values, list):
            raise UsageError(f"axis {name} = {shown(values)} is not allowed; it must be a list of values")
        if len(values) > MOST_RUNS:
            raise UsageError(f"axis {name} has {len(values):,} values; a sweep has at most {MOST_RUNS:,} runs")
        if any(isinstance(value, dict | list) for value in values):
            raise UsageError(f"axis {name} = {shown(values)} is not allowed; its values must be numbers or words")
        if len({(type(value), value) for value in values}) < len(values):
            raise UsageError(f"axis {name} has a value twice: {shown(values)}")
        if name == "seed":
            raise UsageError('seeds are no axis: give them as seeds = "0..2"')
        if not values:
            raise UsageError(f"axis {name} has no values: the sweep has no runs")
        try:
            replaced(base, {name: values[0]})
        except ValueError as error:
            if "unknown setting" in str(error):
                raise UsageError(f"unknown axis {name!r}{str(error).partition(repr(name))[2]}") from error
    return axes


def _arms(arms: dict[str, Any], axes: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Settings of each arm, by name; a single nameless arm if the file has no arms."""
    for name, settings in arms.items():
        if not isinstance(settings, dict):
            raise UsageError(f"arm {name} = {shown(settings)} is not allowed; it must be a table of settings")
        both = sorted(set(settings) & set(axes))
        if both:
            raise UsageError(f"arm {name} sets {both[0]}, which is an axis: leave it out of one of them")
    return arms or {"": {}}


def _seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, str):
        return parse_seeds(seeds)
    if not isinstance(seeds, list) or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds):
        raise UsageError(f'seeds = {shown(seeds)} is not allowed; give a list of whole numbers, or text such as "0..2"')
    if len(seeds) > MOST_SEEDS:
        raise UsageError(f"seeds has {len(seeds):,} numbers; at most {MOST_SEEDS:,} are allowed")
    return list(dict.fromkeys(seeds))


def _stop(settings: dict[str, Any]) -> StopRule:
    """The stop rule of a [stop] table.

    Raises:
        ValueError: an unknown name, or a value of another type or out of range.
    """
    for name in settings:
        if name not in ("test_acc", "steps"):
            raise UsageError(f"unknown {name!r} in [stop]; allowed are test_acc, steps")
    return StopRule(**typed_fields(StopRule, settings))


def _count(axes: dict[str, list[Any]], arms: dict[str, dict[str, Any]], seeds: list[int]) -> None:
    """Refuse a grid of more than ``MOST_RUNS`` runs before the runs are listed.

    Raises:
        UsageError: the grid is too large; the message gives the number of runs.
    """
    parts = {"arms": arms, **axes, "seeds": seeds}
    count = math.prod(map(len, parts.values()))
    if count > MOST_RUNS:
        sizes = " x ".join(f"{len(values):,} {name}" for name, values in parts.items() if len(values) > 1)
        raise UsageError(f"the sweep has {count:,} runs ({sizes}); at most {MOST_RUNS:,} are allowed: cut it in pieces")


def _cells(
    base: RunConfig, axes: dict[str, list[Any]], arms: dict[str, dict[str, Any]], seeds: list[int]
) -> list[Cell]:
    """The runs of the grid, seeds varying fastest.

    Raises:
        UsageError: a combination is impossible, or two combinations are the same run.
    """
    cells: dict[str, Cell] = {}
    for (arm, settings), values in itertools.product(arms.items(), itertools.product(*axes.values())):
        at = ({"arm": arm} if arm else {}) | dict(zip(axes, values, strict=True))
        try:
            config = replaced(base, {**settings, **dict(zip(axes, values, strict=True))})
            refuse_idle_settings(config)
            configs = [dataclasses.replace(config, seed=seed) for seed in seeds]
        except ValueError as error:
            where = ", ".join(f"{name} = {shown(value)}" for name, value in at.items()) or "the base"
            raise UsageError(f"impossible combination ({where}): {error}") from error
        for one in configs:
            if one.run_id in cells:
                first = cells[one.run_id].at
                raise UsageError(f"{shown(at)} and {shown(first)} are one run, seed {one.seed}: leave one of them out")
            cells[one.run_id] = Cell(one, at)
    return list(cells.values())
