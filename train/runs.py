"""List, verify and delete runs: ``python -m train.runs [FOLDER or RUN ...] [flags]``.

Without flags, every run in the folders is listed with its state, last step, snapshots and size. Before deleting
anything, the command lists what it will delete and asks for confirmation. Exit status 0; 2 for bad input; 3 if a run
is damaged.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from train.cli.command import parse, run_command
from train.cli.flags import given, refuse_together
from train.cli.terminal import confirmed, say, tell_error
from train.errors import UsageError
from train.hints import nearest

if TYPE_CHECKING:
    from train.storage.inventory import Item

PROG = "python -m train.runs"
DAMAGED = 3
ACTIONS = ("verify", "keep_every", "keep_last", "drop_steps", "delete")
CLASHES = [(one, other, "give one") for i, one in enumerate(ACTIONS) for other in ACTIONS[i + 1 :]]


@dataclass(frozen=True)
class Options:
    """List runs with their state, last step and size; verify them; delete snapshots, or whole runs."""

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Run directories, or folders that contain runs; by default checkpoints."""
    verify: bool = False
    """Read every file of every run and report damage."""
    keep_every: int | None = None
    """Keep the first, every n-th and the last snapshot of each run, and delete the others."""
    keep_last: bool = False
    """Keep only the last snapshot of each run."""
    drop_steps: tuple[int, ...] = ()
    """Delete the snapshots at these steps."""
    delete: bool = False
    """Delete the runs."""
    yes: bool = False
    """Delete without asking for confirmation."""


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``groklens-runs`` and ``python -m train.runs``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: list[str]) -> int:
    options: Options = parse(Options, argv, PROG, Options())
    names = given(argv)
    refuse_together(names, CLASHES)
    if options.keep_every is not None and options.keep_every < 1:
        raise UsageError(f"keep_every = {options.keep_every} is not allowed; it must be at least 1")
    if "drop_steps" in names and not options.drop_steps:
        raise UsageError("--drop-steps needs the steps whose snapshots are to be deleted, such as 10,20")
    deletes = names & {"keep_every", "keep_last", "drop_steps", "delete"}
    if options.yes and not deletes:
        raise UsageError("--yes does nothing here: nothing is deleted without --keep-every, --keep-last, ...")
    paths = _runs(options.paths or (Path("checkpoints"),), is_named=bool(deletes))
    if options.delete:
        return _delete(paths, options.yes)
    if deletes:
        return _thin(paths, options)
    return _verify(paths) if options.verify else _list(paths)


def _runs(paths: tuple[Path, ...], is_named: bool) -> list[Path]:
    """Directories of the requested runs, without duplicates.

    Raises:
        UsageError: a path is neither a run nor a folder, or is a folder although ``is_named`` requires runs.
    """
    from train.storage.inventory import is_run, runs_in

    runs: list[Path] = []
    for path in paths:
        if is_named and path.is_symlink():
            raise UsageError(f"{path} is a link: name the run itself; nothing was deleted")
        if is_run(path):
            runs.append(path)
        elif not path.is_dir():
            beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UsageError(f"{path} does not exist{nearest(path.name, beside)}: give a run, or a folder of runs")
        elif is_named:
            raise UsageError(f"{path} is not a run: name the runs, such as {path}/add-p113-s0-...; nothing was deleted")
        else:
            runs += runs_in(path)
    return list(dict.fromkeys(runs))


def _list(paths: list[Path]) -> int:
    from train.storage.inventory import inspect

    items = [inspect(path) for path in paths]
    rows = [("state", "step", "of", "snapshots", "size", "run"), *map(_row, items)]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows if items else ():
        cells = [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), row[5]]
        say("  ".join(cells))
    say(f"{len(items)} runs, {_size(sum(item.n_bytes for item in items))}")
    for item in items:
        if item.fault is not None:
            tell_error(item.fault)
    return DAMAGED if any(item.fault is not None for item in items) else 0


def _row(item: "Item") -> tuple[str, ...]:
    step, steps = ("-" if value is None else f"{value:,}" for value in (item.step, item.steps))
    return item.state, step, steps, f"{len(item.snapshots)}", _size(item.n_bytes), str(item.path)


def _size(n_bytes: int) -> str:
    """A number of bytes with its unit, to three significant digits."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"


def _verify(paths: list[Path]) -> int:
    from train.storage.store import RunStore
    from train.storage.verify import faults_of

    n_damaged = 0
    for path in paths:
        faults = faults_of(path)
        n_damaged += bool(faults)
        doubt = None if faults else RunStore(path).doubt
        say(f"{path}: {'damaged' if faults else 'verified' if doubt is None else 'not verified'}")
        for fault in faults:
            tell_error(fault)
        if doubt is not None:
            say(f"    {doubt}")
    say(f"{len(paths)} runs, {n_damaged} damaged")
    return DAMAGED if n_damaged else 0


def _delete(paths: list[Path], yes: bool) -> int:
    from train.storage.inventory import size_of
    from train.storage.thinning import delete_run

    _refuse_held(paths)
    for path in paths:
        say(f"{path}: the whole run will be deleted, {_size(size_of(path))}")
    _ask(f"delete {len(paths)} runs?", yes)
    for path in paths:
        delete_run(path)
        say(f"{path}: deleted")
    return 0


def _thin(paths: list[Path], options: Options) -> int:
    from train.storage.store import RunStore
    from train.storage.thinning import check_drop

    _refuse_held(paths)
    plan: list[tuple[RunStore, list[int]]] = []
    for path in paths:
        store = RunStore.open(path)
        dropped = _dropped(options)(store.steps)
        check_drop(path, store.steps, dropped)
        n_bytes = sum(entry["bytes"] for step, entry in store.manifest.items() if step in dropped)
        say(f"{path}: {len(dropped)} of {len(store.steps)} snapshots will be deleted, {_size(n_bytes)}")
        plan.append((store, dropped))
    if not any(dropped for _, dropped in plan):
        return 0
    _ask("delete these snapshots?", options.yes)
    for store, dropped in plan:
        if dropped:
            with store.lock():
                store.drop_snapshots(dropped)
            say(f"{store.path}: {len(dropped)} snapshots deleted")
    return 0


def _dropped(options: Options) -> Callable[[list[int]], list[int]]:
    """A function from the steps of a run's snapshots to the steps whose snapshots will be deleted."""
    from train.storage.thinning import kept_every

    if options.keep_last:
        return lambda steps: steps[:-1]
    every = options.keep_every
    if every is not None:
        return lambda steps: sorted(set(steps) - set(kept_every(steps, every)))
    return lambda steps: sorted(set(options.drop_steps))


def _refuse_held(paths: list[Path]) -> None:
    """Refuse runs that another process is training, before anything is deleted.

    Raises:
        Busy: a run is being trained; the message names the first.
    """
    from train.errors import Busy
    from train.storage.inventory import is_held

    for path in paths:
        if is_held(path):
            raise Busy(f"{path} is being trained: wait for it, or stop it; nothing was deleted")


def _ask(question: str, yes: bool) -> None:
    if not yes and not confirmed(question):
        raise UsageError("nothing was deleted: answer y, or give --yes")


if __name__ == "__main__":
    raise SystemExit(main())
