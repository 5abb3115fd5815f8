"""Train a sweep: ``python -m train.sweep SPEC.toml [flags]``; the flags are the fields of ``Options``.

The last line of standard output is the sweep's directory. Run the same command again to resume; finished runs are left
alone. Exit status 0; 2 for bad input, before anything starts; 4 if some runs failed (the others are trained).
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from train.cli.command import parse, required, run_command, signals
from train.cli.flags import given, refuse_together
from train.cli.terminal import say, tell, tell_error
from train.errors import Stopped, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from .engines import Engine
    from .spec import Spec

PROG = "python -m train.sweep"
SOME_FAILED = 4
CLASHES = (("dry_run", "quiet", "all that a dry run does is print"),)
MOST_ROWS = 100
"""Upper limit on the printed rows of the table."""


@dataclass(frozen=True)
class Options:
    """Train every run of a sweep."""

    spec: Annotated[Path | None, tyro.conf.Positional, required("SPEC.toml")] = None
    """TOML file with [base], [axes], [arms], seeds and [stop]."""
    out: Path = Path("checkpoints")
    """Parent folder of the sweep's directory, which is named after the file."""
    engine: Literal["local", "dask", "slurm"] = "local"
    """Local processes, a running Dask cluster, or Slurm jobs ([slurm] in the file)."""
    address: str | None = None
    """Address of the Dask scheduler, tcp://host:port."""
    shard: str | None = None
    """i/n: train only every n-th stack, starting from the i-th (0 to n - 1), for job arrays."""
    workers: int | None = None
    """Processes of the local engine; by default one per four cores."""
    stack: int | None = None
    """Runs of one shape that a worker trains side by side; by default 8, or as many as fit in memory."""
    tries: int = 3
    """Lost workers without progress after which a run counts as failed."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto means cuda if available."""
    dry_run: bool = False
    """Print the runs and their cost without training."""
    quiet: bool = False
    """Print only the sweep's directory (and errors)."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-sweep`` and ``python -m train.sweep``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, PROG, Options())
    refuse_together(given(argv), CLASHES)
    if options.spec is None:
        raise UsageError("which sweep? give its TOML file, such as docs/fractions.toml")
    if (options.engine == "dask") != (options.address is not None):
        raise UsageError("--engine dask and --address tcp://host:port go together: give both, or neither")
    if options.engine != "local" and options.workers is not None:
        raise UsageError(f"--workers are processes of this machine, which --engine {options.engine} starts none of")
    for name in ("workers", "stack", "tries"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} = {value} is not allowed; it must be at least 1")
    from .spec import read_spec

    shard = parse_shard(options.shard)
    return _sweep(read_spec(options.spec), options, shard)


def _sweep(spec: "Spec", options: Options, shard: tuple[int, int]) -> int:
    from train.cli.arguments import find_device
    from train.engine.readers import pass_of
    from train.model.precision import check_precision

    from .display import watching
    from .drive import drive
    from .info import write_info
    from .plan import STACK, estimate, fitting, missing, stacks_of
    from .results import write_table

    device, root = find_device(options.device), options.out / spec.name
    configs = [cell.config for cell in spec.cells]
    for config in configs:
        check_precision(config, device)
    slow = dict.fromkeys(str(taken) for taken in (pass_of(config, device) for config in configs) if taken.is_slow)
    workers = options.workers or max(1, (os.cpu_count() or 1) // 4)
    threads = max(1, (os.cpu_count() or 1) // workers)
    engine = _engine(spec, options, workers, threads)
    stacks = stacks_of(configs, fitting(configs, options.stack or STACK, device))
    left = missing(root, stacks[shard[0] :: shard[1]], spec.stop)
    cost = estimate(root, left, device, threads)
    if options.dry_run or not options.quiet:
        tell(f"{len(configs)} runs; to train: {cost if left else 'none'}", *(f"some of them {how}" for how in slow))
    if options.dry_run:
        for cell in spec.cells:
            say(f"{cell.config.run_id}  {', '.join(f'{name} = {value}' for name, value in cell.at.items())}")
        return 0
    write_info(root, spec)
    names = {config.run_id for stack in left for config in stack}
    with signals() as caught, watching(root, names, len(configs), options.quiet) as show:

        def watch() -> None:
            show()
            signum = caught()
            if signum is not None:
                raise Stopped(signum)

        where = str(device) if options.engine == "local" else options.device  # remote workers may have other devices
        outcomes = drive(root, left, engine, device=where, stop=spec.stop, tries=options.tries, watch=watch)
    table = write_table(root, spec)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not options.quiet:
        say(*_shown(table, spec).split("\n"))
        say(_in_words(table))
    for outcome in failed:
        tell_error(f"{outcome.run_id} failed: {outcome.error}")
    say(root)
    return SOME_FAILED if failed else 0


def _engine(spec: "Spec", options: Options, workers: int, threads: int) -> "Engine":
    from . import engines

    if options.engine == "slurm":
        engines.slurm_cluster(spec.slurm).close()  # refuses unknown options before anything starts
        return engines.slurm(spec.slurm)
    if options.address is not None:
        return engines.dask(options.address)
    return engines.local(workers, threads)


def _shown(table: "pd.DataFrame", spec: "Spec") -> str:
    """The main columns and first rows of the table, as text."""
    columns = [*spec.axes, "seed", "status", "train_99", "test_99", "test_99_stable", "best_test_acc", "seconds"]
    short = table[["run_id", *columns]].head(MOST_ROWS).round(4).to_string(index=False, na_rep="-")
    return short + (f"\nand {len(table) - MOST_ROWS} more" if len(table) > MOST_ROWS else "")


def _in_words(table: "pd.DataFrame") -> str:
    statuses, reached = table["status"].tolist(), table["test_99"].notna().tolist()
    words = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    grokked = sum(status == "done" and at for status, at in zip(statuses, reached, strict=True))
    return f"{words}; {grokked} reached 99% test accuracy; the table is sweep.parquet"


def parse_shard(text: str | None) -> tuple[int, int]:
    """i and n of a shard "i/n"; (0, 1) by default.

    Raises:
        UsageError: the text has another form.
    """
    if text is None:
        return 0, 1
    first, slash, last = text.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise UsageError(f"--shard {text!r} is not allowed; give i/n with i from 0 to n - 1, such as 0/4")
    return int(first), int(last)


if __name__ == "__main__":
    raise SystemExit(main())
