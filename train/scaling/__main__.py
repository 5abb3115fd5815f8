"""Simulate the solvable model: ``python -m train.scaling NAME [flags]``, where NAME is a preset; flags override fields.

The last line of standard output is the run's directory. Exit status 0; 2 for bad input; 3 for an unstable step size.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from train.cli.command import parse, run_command
from train.cli.flags import given, refuse_beside
from train.cli.terminal import say
from train.errors import UsageError
from train.hints import nearest

from .config import PRESETS, ScalingConfig


@dataclass(frozen=True)
class Options:
    """Simulate the solvable model of feature learning and scaling laws; give the name of a preset first."""

    config: Annotated[ScalingConfig, tyro.conf.arg(name="")]
    out: Path = Path("checkpoints")
    """Parent folder of the run's directory."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the presets, and exit."""
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print only the run's directory."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-simulate`` and ``python -m train.scaling``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    name = argv[0] if argv and not argv[0].startswith("-") else None
    if name is not None and name not in PRESETS:
        raise UsageError(f"no preset {name!r}{nearest(name, PRESETS)}; allowed are {', '.join(PRESETS)}")
    refuse_beside(given(argv) | ({"NAME"} if name is not None else set()), "list")
    default = Options(ScalingConfig() if name is None else PRESETS[name])
    options: Options = parse(
        Options, argv if name is None else argv[1:], "python -m train.scaling NAME", default, pairs=True
    )
    if options.list:
        for preset, config in PRESETS.items():
            say(f"{preset:16} {config.name}")
        return 0
    if name is None:
        raise UsageError(f"which preset? give one first: {', '.join(PRESETS)}")
    _refuse_idle(options.config)
    from .simulate import simulate
    from .store import read_simulation, write_simulation

    path = options.out / options.config.name
    if (path / "run.json").is_file():
        simulated = read_simulation(path)[1]
    else:
        simulated = simulate(options.config)
        write_simulation(path, options.config, simulated)
    if not options.quiet:
        loss = simulated.loss.mean(axis=0)
        say(f"loss {loss[0]:.4g} at t = 0, {loss[-1]:.4g} at t = {simulated.t[-1]:g}")
    say(path)
    return 0


def _refuse_idle(config: ScalingConfig) -> None:
    """Refuse a seed where nothing is drawn.

    Raises:
        UsageError: the seed would have no effect.
    """
    if config.seed != 0 and config.form == "plain" and config.b is None and config.p is None:
        raise UsageError(
            f"seed = {config.seed} does nothing here: the plain form on the population draws nothing; leave it out"
        )


if __name__ == "__main__":
    raise SystemExit(main())
