"""Every measure of one snapshot: ``python -m interp.measures RUN [--step N] [--json] [--only NAME ...] [--list]``.

``--json`` prints one JSON object: a number, or an object by frequency (or irrep), under each measure's name; numbers
that are not finite are null, and measures that do not apply stand under "unavailable" with the reason. ``--table
FILE.csv`` writes a tidy table of every snapshot's measures. Exit status 0; 2 for bad input; 3 if a snapshot is corrupt.
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from train.cli.command import parse, required, run_command
from train.cli.flags import given, refuse_beside, refuse_together
from train.cli.terminal import remark, say, tell
from train.errors import UsageError

if TYPE_CHECKING:
    from interp.runs.run import Run

CLASHES = (
    ("table", "step", "--table writes every snapshot's measures: leave out --step"),
    ("table", "json", "--table writes a CSV file: leave out --json"),
)
N_SHOWN = 8
"""Number of frequencies shown without --json: those of the largest values."""


@dataclass(frozen=True)
class Options:
    """Print the measures of a snapshot: losses, spectra, key frequencies, restricted and excluded losses, circuits."""

    run: Annotated[Path | None, tyro.conf.Positional, required("RUN", "except with --list")] = None
    """A run's directory, a unique prefix of its name, or a folder that holds one run."""
    step: int | None = None
    """Step of the snapshot; default: the last."""
    json: bool = False
    """Print one JSON object."""
    only: tuple[str, ...] = ()
    """Names of the measures to compute; default: all."""
    key_freqs: tuple[int, ...] = ()
    """Frequencies to use as key frequencies; default: chosen at the last snapshot."""
    table: Path | None = None
    """Write the measures of every snapshot to this CSV file, and print the file's path."""
    list: bool = False
    """Print the names of all measures with unit and source, and exit."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-measures`` and ``python -m interp.measures``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, "python -m interp.measures", Options())
    names = given(argv)
    refuse_together(names, CLASHES)
    refuse_beside(names | ({"RUN"} if options.run is not None else set()), "list", ["only"])
    if options.run is None and not options.list:
        raise UsageError("which run? give its directory, such as checkpoints/add-p113-s0-...")
    from . import choose

    measures = choose(options.only or None)
    if options.list:
        for measure in measures:
            say(f"{measure.name:38} {measure.unit:24} {measure.source}")
        return 0
    from interp.runs.finding import open_run

    assert options.run is not None
    run = open_run(options.run, key_freqs=options.key_freqs or None)
    if run.store.doubt is not None:
        remark(run.store.doubt)
    if options.table is not None:
        say(_write_table(run, options))
    else:
        snap = run.last if options.step is None else run[options.step]
        _show({measure.name: measure(snap) for measure in measures}, options.json)
    return 0


def _write_table(run: "Run", options: Options) -> Path:
    from train.storage.files import write_atomic

    from . import table

    assert options.table is not None
    frame = table(run, options.only or None, visit=lambda snap: tell(f"step {snap.step:,}"))
    write_atomic(options.table, frame.to_csv(index=False).encode())
    return options.table


def _show(values: dict[str, Any], as_json: bool) -> None:
    from interp.parts.memo import Unavailable

    reasons = {name: value.reason for name, value in values.items() if isinstance(value, Unavailable)}
    numbers = {name: value for name, value in values.items() if name not in reasons}
    if as_json:
        plain = {name: _plain(value) for name, value in numbers.items()}
        text = json.dumps(plain | ({"unavailable": reasons} if reasons else {}), indent=1, allow_nan=False)
        say(*text.split("\n"))
        return
    for name, value in numbers.items():
        say(f"{name:38} {_line(value)}")
    for name, reason in reasons.items():
        say(f"{name:38} not available: {reason}")


def _plain(value: Any) -> Any:
    """The value in JSON's own types, with null for a number that is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(number) for key, number in value.items()}
    return value if math.isfinite(value) else None


def _line(value: Any) -> str:
    if not isinstance(value, dict):
        return f"{value:.6g}"
    largest = sorted(value, key=lambda key: -abs(value[key]))[:N_SHOWN]
    more = f", and {len(value) - N_SHOWN} more" if len(value) > N_SHOWN else ""
    return ", ".join(f"{key}: {value[key]:.4g}" for key in largest) + more


if __name__ == "__main__":
    raise SystemExit(main())
