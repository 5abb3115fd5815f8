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

from train.cli.arguments import find_device, parse_seeds, read_toml, set_threads
from train.cli.command import parse, run_command, signals
from train.cli.flags import given, refuse_beside, refuse_together, tidy
from train.cli.terminal import remark, say, tell_error
from train.config.idle import refuse_idle_settings
from train.config.presets import PRESETS, find_preset
from train.config.run import RunConfig
from train.config.settings import replaced
from train.errors import UsageError

PROG = "python -m train.run"
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


CLASHES = (("seed", "seeds", "give one, a seed or several"),)
LISTS = ("list_presets", "list_operations", "list_interventions")


def _main(argv: list[str]) -> int:
    argv = tidy(Command, argv, PROG)
    names = given(argv)
    refuse_together(names, CLASHES)
    for alone in LISTS:
        refuse_beside(names, alone, LISTS)
    try:
        start = Command(run=_starting_config(argv))
    except ValueError as error:
        raise UsageError(str(error)) from error
    command = parse(Command, argv, PROG, start)
    options = command.options
    if options.list_presets or options.list_operations or options.list_interventions:
        _print_lists(options)
        return 0
    configs = [command.run]
    if command.options.seeds is not None:
        configs = [replaced(command.run, {"seed": seed}) for seed in parse_seeds(command.options.seeds)]
    refuse_idle_settings(configs[0])
    return _train(configs, command.options, argv)


def _starting_config(argv: list[str]) -> RunConfig:
    """The preset and the file, before the other flags; group and p replace each other here."""
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--config", "--op", "--group", "--p"):
        scan.add_argument(flag)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            flags = scan.parse_known_args(argv)[0]
    except SystemExit:  # a flag without its value: the real parser says so
        return RunConfig()
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


def _print_lists(options: Options) -> None:
    from train.algebra.operations import OPERATIONS
    from train.config.interventions import INTERVENTIONS, flags_of

    if options.list_presets:
        for name, preset in PRESETS.items():
            say(f"{name:11} {preset.doc}", f"{'':11} {preset.source}")
    if options.list_operations:
        for name, op in OPERATIONS.items():
            where = "--group" if op.domain == "group" else "prime --p" if op.needs_prime else "any --p"
            say(f"{name:12} {where:10} {op.doc}")
    if options.list_interventions:
        for one in INTERVENTIONS:
            say(one.doc, f"    {' '.join(flags_of(one))}", f"    {one.source}")


def _train(configs: list[RunConfig], options: Options, argv: list[str]) -> int:
    import torch

    from train.cli.display import Display, summary
    from train.engine.loop import train_together
    from train.engine.readers import pass_of
    from train.engine.recorder import next_step
    from train.engine.shapes import check_memory
    from train.model.precision import check_precision
    from train.storage.provenance import session_info
    from train.storage.store import RunStore

    device = find_device(options.device)
    set_threads(options.threads, device)
    check_precision(configs[0], device)
    taken = pass_of(configs[0], device)
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
                say(f"{name}already trained to step {from_step:,}; nothing to do (a larger --steps goes on from there)")
        for config, store, from_step in todo:
            for note in store.notes:
                remark(note)
            command = ["python", "-m", "train.run", *argv]
            session = session_info(str(device), torch.get_num_threads(), command, from_step, taken.record)
            store.add_session(config, session)
        if todo:
            begun = [config for config, _, _ in todo], [step for _, _, step in todo]
            shown = Display(*begun, str(taken), quiet=options.quiet)
            with signals() as poll, shown as display:
                pairs = [(config, store) for config, store, _ in todo]
                errors = list(train_together(pairs, device, progress=display.show, stop_signal=poll))
    failed = [(store, error) for (_, store, _), error in zip(todo, errors, strict=True) if error is not None]
    if failed and len(configs) == 1:
        raise failed[0][1]
    for store in stores:
        if not options.quiet:
            say(("" if len(stores) == 1 else f"{store.path.name}: ") + summary(store.read_log()))
    for store in stores:
        say(store.path)
    for store, error in failed:
        tell_error(f"{store.path.name} failed: {error}")
    return SOME_FAILED if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
