"""Train a small transformer on a modular or group operation: ``python -m train.run [flags]``.

The last line of standard output is the run's directory (with ``--seeds``, a line for each run). Run the same
command again to resume, or with a larger ``--steps`` to extend.
"""

import argparse
import contextlib
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import find_device, parse_seeds, read_toml
from .cli import parse, run_command, say, signals
from .config import RunConfig
from .errors import UsageError
from .presets import PRESETS, find_preset
from .settings import override

if TYPE_CHECKING:
    pass

DEFAULT_PRESET = "nanda"
SOME_FAILED = 4
"""Exit status where some of several runs failed."""


@dataclass(frozen=True)
class Options:
    """What does not change the numbers."""

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
    quiet: bool = False
    """Print nothing but the runs' directories (and errors)."""
    list_presets: bool = False
    """Print the presets and their sources, and exit."""
    list_operations: bool = False
    """Print the operations, and exit."""
    list_interventions: bool = False
    """Print the interventions on training, their flags and sources, and exit."""


@dataclass(frozen=True)
class Command:
    """Train a small transformer on a modular or group operation, saving checkpoints on a log-spaced schedule."""

    options: Options = field(default_factory=Options)
    run: RunConfig = field(default_factory=RunConfig)


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``groklens-train`` and ``python -m train.run``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: list[str]) -> int:
    try:
        start = Command(run=_starting_config(argv))
    except ValueError as error:
        raise UsageError(str(error)) from error
    command = parse(Command, argv, "python -m train.run", start)
    options = command.options
    if options.list_presets or options.list_operations or options.list_interventions:
        _print_lists(options)
        return 0
    configs = [command.run]
    if command.options.seeds is not None:
        configs = [override(command.run, {"seed": seed}) for seed in parse_seeds(command.options.seeds)]
    return _train(configs, command.options, argv)


def _starting_config(argv: list[str]) -> RunConfig:
    """The preset and the file, before the other flags; group and p replace each other here."""
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--op", "--group", "--p"):
        scan.add_argument(flag)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            given = scan.parse_known_args(argv)[0]
    except SystemExit:  # a flag without its value: the real parser says so
        return RunConfig()
    config = find_preset(given.preset if given.preset is not None else DEFAULT_PRESET).config
    if given.config is not None:
        config = override(config, read_toml(Path(given.config), "--config "))
    swap = {}
    if given.group not in (None, "None"):
        swap = {"group": given.group}
    elif given.p is not None and given.p.isdigit() and config.task.group is not None:
        swap = {"p": int(given.p)}
    if swap:
        config = override(config, {**swap, **({"op": given.op} if given.op is not None else {})})
    return config


def _print_lists(options: Options) -> None:
    from .interventions import INTERVENTIONS, flags_of
    from .operations import OPERATIONS

    if options.list_presets:
        for name, preset in PRESETS.items():
            print(f"{name:11} {preset.doc}\n{'':11} {preset.source}")
    if options.list_operations:
        for name, op in OPERATIONS.items():
            where = "--group" if op.domain == "group" else "prime --p" if op.needs_prime else "any --p"
            print(f"{name:12} {where:10} {op.doc}")
    if options.list_interventions:
        for one in INTERVENTIONS:
            print(f"{one.doc}\n    {' '.join(flags_of(one))}\n    {one.source}")


def _train(configs: list[RunConfig], options: Options, argv: list[str]) -> int:
    import torch

    from .display import Display, summary
    from .engine import train_together
    from .ensemble import check_memory
    from .precision import check_precision
    from .provenance import session_info
    from .recorder import next_step
    from .store import RunStore

    if options.threads is not None:
        if options.threads < 1:
            raise UsageError(f"threads = {options.threads} is not allowed; it must be at least 1")
        torch.set_num_threads(options.threads)
    device = find_device(options.device)
    check_precision(configs[0], device)
    check_memory(configs, device)
    options.out.mkdir(parents=True, exist_ok=True)
    stores = [RunStore.create(options.out, config) for config in configs]
    errors: list[Exception | None] = []
    with contextlib.ExitStack() as locks:
        for store in stores:
            locks.enter_context(store.lock())
        todo = []
        for config, store in zip(configs, stores, strict=True):
            from_step, is_ready = next_step(config, store)
            if not is_ready:
                todo.append((config, store, from_step))
            elif not options.quiet:
                name = "" if len(configs) == 1 else f"{store.path.name}: "
                print(
                    f"{name}already trained to step {from_step:,}; nothing to do (a larger --steps goes on from there)"
                )
        for config, store, from_step in todo:
            for note in store.notes:
                say(note)
            command = ["python", "-m", "train.run", *argv]
            store.add_session(config, session_info(str(device), torch.get_num_threads(), command, from_step))
        if todo:
            shown = Display([config for config, _, _ in todo], [step for _, _, step in todo], quiet=options.quiet)
            with signals() as poll, shown as display:
                pairs = [(config, store) for config, store, _ in todo]
                errors = list(train_together(pairs, device, progress=display.show, stop_signal=poll))
    failed = [(store, error) for (_, store, _), error in zip(todo, errors, strict=True) if error is not None]
    if failed and len(configs) == 1:
        raise failed[0][1]
    for store in stores:
        if not options.quiet:
            print(("" if len(stores) == 1 else f"{store.path.name}: ") + summary(store.read_log()))
    for store in stores:
        print(store.path)
    for store, error in failed:
        print(f"error: {store.path.name} failed: {error}", file=sys.stderr)
    return SOME_FAILED if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
