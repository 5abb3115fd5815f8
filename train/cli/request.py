"""What a training command is asked for: from flags, a preset and a file to the runs' configs."""

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
"""An option that is off unless it is given, and has no negation."""


@dataclass(frozen=True)
class Options:
    """What changes no numbers."""

    preset: str = DEFAULT_PRESET
    """Named set-up that the other flags start from (see --list-presets)."""
    config: Path | None = None
    """TOML file of settings by their flag names (op = "mul", train_frac = 0.4); flags win over it."""
    out: Path = Path("checkpoints")
    """Folder that runs are written to, one directory each."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes cuda where there is one."""
    threads: int | None = None
    """CPU threads; PyTorch's own choice where not given."""
    seeds: str | None = None
    """Several runs side by side, in place of --seed: 0..15, or 3,5,8."""
    quiet: Switch = False
    """Print nothing but the runs' directories (and errors)."""
    list_presets: Switch = False
    """Print the presets and their sources, and exit."""
    list_operations: Switch = False
    """Print the operations, and exit."""
    list_interventions: Switch = False
    """Print the interventions on training, their flags and sources, and exit."""


@dataclass(frozen=True)
class Command:
    """Train a small transformer on a modular or group operation, saving checkpoints on a log-spaced schedule."""

    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    run: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)


@dataclass(frozen=True)
class Request:
    """Runs to train, one for each seed, and how."""

    configs: list[RunConfig]
    options: Options


def read_request(argv: list[str], start: RunConfig | None = None) -> Request:
    """The runs that a command line asks for; precedence is preset, then file, then flags.

    Args:
        argv: the command line.
        start: the config that flags change, in place of a preset's and a file's.

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
    """The config before the flags, except that ``--group`` and ``--p`` replace each other already."""
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--op", "--group", "--p"):
        scan.add_argument(flag)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            flags = scan.parse_known_args(argv)[0]
    except SystemExit:  # a flag without its value, which the real parser reports
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
