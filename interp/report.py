"""One self-contained HTML report: ``python -m interp.report RUN``; the flags are the fields of ``Options``.

The last line of standard output is the report's path. Exit status 0; 1 if a section failed (the report has the
others); 2 for bad input; 3 if a snapshot is corrupt (the report leaves the snapshot out and says so).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from train.cli.command import parse, required, run_command
from train.cli.flags import given, refuse_beside
from train.cli.terminal import say
from train.errors import UsageError

if TYPE_CHECKING:
    from interp.pages.kind import Kind


@dataclass(frozen=True)
class Options:
    """Build the report of a run, a sweep or a simulation as one HTML file that opens offline."""

    run: Annotated[Path | None, tyro.conf.Positional, required("RUN", "except with --list")] = None
    """Directory of a run, a sweep or a simulation, a unique prefix of a run's name, or a folder that holds one run."""
    out: Path | None = None
    """Folder for index.html; reports/<run> by default."""
    only: tuple[str, ...] = ()
    """Sections of a run's report to build, by id; all by default."""
    key_freqs: tuple[int, ...] = ()
    """Frequencies to take as key; chosen at the run's last snapshot by default."""
    with_runs: bool = False
    """For a sweep: also build the reports of its runs that have none."""
    timings: bool = False
    """Print a table of the seconds that each section of a run's report took."""
    list: bool = False
    """Print the sections' ids and titles, and exit."""
    quiet: bool = False
    """Print nothing but the report's path (and errors)."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-report`` and ``python -m interp.report``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, "python -m interp.report", Options())
    refuse_beside(given(argv) | ({"RUN"} if options.run is not None else set()), "list")
    if options.list:
        return _list_sections()
    if options.run is None:
        raise UsageError("which run? give its directory, such as checkpoints/add-p113-s0-...")
    from interp.pages import PAGES
    from interp.pages.writing import write

    kind = next(kind for kind in PAGES if kind.recognises(options.run))
    built = kind.build(options.run, options.out, **_own_flags(options, kind, PAGES))
    say(write(built.page, built.folder, options.quiet, built.timings))
    return built.status


def _list_sections() -> int:
    from interp.sections import SECTIONS

    for section in SECTIONS:
        say(f"{section.id:10} {section.title}")
    return 0


def _own_flags(options: Options, kind: "Kind", pages: "Sequence[Kind]") -> dict[str, Any]:
    """Values of the flags that apply to this kind of page.

    Raises:
        UsageError: a flag is given that only other kinds of page have.
    """
    for name in dict.fromkeys(flag for page in pages for flag in page.flags if flag != "quiet"):
        if name not in kind.flags and getattr(options, name) != getattr(Options(), name):
            flag, owners = f"--{name.replace('_', '-')}", " or ".join(page.what for page in pages if name in page.flags)
            raise UsageError(
                f"{flag} is for the report of {owners}, and this is the report of {kind.what}: leave out {flag}"
            )
    return {name: getattr(options, name) for name in kind.flags}


if __name__ == "__main__":
    raise SystemExit(main())
