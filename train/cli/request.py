"""The request of a training command: run configs and options, from a preset, a file and flags."""

import argparse
import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from train.config.idle import refuse_idle_settings
from train.config.presets import find_preset
from train.config.run import RunConfig
from train.config.settings import replaced
from train.errors import UsageError

from .arguments import parse_seeds, read_toml
from .command import called, parse, print_version
from .flags import given, refuse_beside, refuse_together, tidy

PROG = "python -m train.run"
DEFAULT_PRESET = "nanda"
CLASHES = (("seed", "seeds", "give one, a seed or several"),)
LISTS = ("list_presets", "list_operations", "list_interventions")
"""Options that print something and exit."""
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]
"""A boolean option that is off by default and has no ``--no-`` form."""


@dataclass(frozen=True)
class Options:
    """Options of the command that do not affect a run's numbers."""

    preset: str = DEFAULT_PRESET
    """Named set-up that the other flags start from (see --list-presets)."""
    config: Path | None = None
    """TOML file of settings by flag name (op = "mul", train_frac = 0.4); flags override the file."""
    out: Path = Path("checkpoints")
    """Folder that run directories are written to."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto means cuda if available."""
    threads: int | None = None
    """CPU threads; by default PyTorch's choice."""
    seeds: str | None = None
    """Several runs side by side, instead of --seed: 0..15, or 3,5,8."""
    quiet: Switch = False
    """Print only the run directories (and errors)."""
    list_presets: Switch = False
    """Print the presets and their sources, and exit."""
    list_operations: Switch = False
    """Print the operations, and exit."""
    list_interventions: Switch = False
    """Print the training interventions with their flags and sources, and exit."""


@dataclass(frozen=True)
class Command:
    """Train a small transformer on a modular or group operation, saving checkpoints on a log-spaced schedule."""

    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    run: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


@dataclass(frozen=True)
class Request:
    """The runs to train, one per seed, and the options of the command."""

    configs: list[RunConfig]
    options: Options


def read_request(argv: list[str], start: RunConfig | None = None) -> Request:
    """The request of a command line; flags override the file, and the file overrides the preset.

    Args:
        argv: the command line.
        start: the config that flags modify, instead of a preset and a file.

    Raises:
        UsageError: a flag, a value or a combination that is not allowed.
    """
    print_version(argv)
    argv = tidy(Command, argv, called(PROG))
    names = given(argv)
    refuse_together(names, CLASHES)
    for alone in LISTS:
        refuse_beside(names, alone, LISTS)
    try:
        command: Command = parse(Command, argv, PROG, Command(run=_starting_config(argv, start)), pairs=True)
        configs = [command.run]
        if command.options.seeds is not None:
            configs = [replaced(command.run, {"seed": seed}) for seed in parse_seeds(command.options.seeds)]
    except ValueError as error:
        raise UsageError(str(error)) from error
    refuse_idle_settings(configs[0])
    return Request(configs, command.options)


def _starting_config(argv: list[str], start: RunConfig | None) -> RunConfig:
    """The config that flags modify, in which ``--group`` or ``--p`` has already replaced the other."""
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--op", "--group", "--p"):
        scan.add_argument(flag)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            flags = scan.parse_known_args(argv)[0]
    except SystemExit:  # a flag without a value; the main parser reports the error
        return RunConfig()
    config = start
    if config is None:
        config = find_preset(flags.preset if flags.preset is not None else DEFAULT_PRESET).config
    if flags.config is not None:
        config = replaced(config, read_toml(Path(flags.config), "--config "))
    swap = {}
    if flags.group not in (None, "None"):
        swap = {"group": flags.group}
    elif flags.p is not None and flags.p.isdigit() and config.task.group is not None:
        swap = {"p": int(flags.p)}
    if swap:
        config = replaced(config, {**swap, **({"op": flags.op} if flags.op is not None else {})})
    return config
