"""One self-contained HTML report of a run: ``python -m interp.report RUN``; its flags are the fields of ``Options``.

The last line of standard output is the report's path. Exit status 0; 1 if a section failed (the others are
there); 2 for bad input; 3 if a snapshot is corrupt (the report goes on with the others and says so).
"""

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from train.cli.command import parse, required, run_command
from train.cli.flags import given, refuse_beside
from train.cli.terminal import remark, say, tell, tell_error
from train.errors import UsageError
from train.hints import nearest

if TYPE_CHECKING:
    from interp.runs.run import Run


@dataclass(frozen=True)
class Options:
    """Build the report of a run, a sweep or a simulation as one HTML file that opens offline."""

    run: Annotated[Path | None, tyro.conf.Positional, required("RUN", "except with --list")] = None
    """Directory of a run, a sweep or a simulation, a unique prefix of a run's name, or a folder that holds one run."""
    out: Path | None = None
    """Folder for index.html; reports/<run> where not given."""
    only: tuple[str, ...] = ()
    """Sections to build, by id; all where not given."""
    key_freqs: tuple[int, ...] = ()
    """Frequencies to take as key; chosen at the last snapshot where not given."""
    with_runs: bool = False
    """Of a sweep: build the reports of its runs too, where there are none."""
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
    if options.run is None and not options.list:
        raise UsageError("which run? give its directory, such as checkpoints/add-p113-s0-...")
    from interp.parts.keyfreqs import key_freqs
    from interp.runs.finding import open_run
    from interp.runs.run import Run
    from interp.sections import SECTIONS
    from train.scaling.store import is_simulation
    from train.sweep.info import is_sweep

    if options.run is not None and not options.list:
        if is_simulation(options.run):
            return _simulation(options.run, options)
        if is_sweep(options.run):
            return _sweep(options.run, options)
        if options.run.is_file() and options.run.name == "sweep.json":
            raise UsageError(f"{options.run} is a part of a sweep: give the sweep's directory, {options.run.parent}")
    if options.with_runs:
        raise UsageError("--with-runs is for the report of a sweep: leave it out")
    if options.list:
        for section in SECTIONS:
            say(f"{section.id:10} {section.title}")
        return 0
    unknown = [name for name in options.only if name not in {s.id for s in SECTIONS}]
    if unknown:
        ids = [s.id for s in SECTIONS]
        raise UsageError(f"unknown section {unknown[0]!r}{nearest(unknown[0], ids)}; allowed are {', '.join(ids)}")
    assert options.run is not None
    run = open_run(options.run, key_freqs=options.key_freqs or None)
    if run.store.doubt is not None:
        remark(run.store.doubt)
    _ = run.log  # a damaged one is refused before a minute's work
    problems = run.problems()
    if problems:
        run = Run(run.store, without=problems, key_freqs=options.key_freqs or None)
    if not run.steps:
        raise UsageError(f"{run.path} has no readable snapshots yet: let it train a little")
    if options.key_freqs:
        key_freqs(run)  # refuses those that are no frequencies of the run
    folder = Path("reports") / run.name if options.out is None else options.out
    status = _build(run, problems, folder, options)
    say(folder / "index.html")
    return status


def _simulation(path: Path, options: Options) -> int:
    """The page of a simulation of the solvable model, which has one section and no key frequencies."""
    from interp.pages.simulation import build_run

    if options.only or options.key_freqs or options.with_runs:
        raise UsageError(f"{path} is a simulation of the solvable model: leave out --only, --key-freqs, --with-runs")
    say(build_run(path, Path("reports") / path.resolve().name if options.out is None else options.out))
    return 0


def _sweep(path: Path, options: Options) -> int:
    """The page of a sweep, and reports of its runs; the worst of their statuses."""
    from interp.pages.sweep import build_sweep, runs_without_report

    if options.key_freqs or options.only and not options.with_runs:
        raise UsageError(f"{path} is a sweep: leave out --key-freqs, and --only without --with-runs")
    folder, status = Path("reports") / path.resolve().name if options.out is None else options.out, 0
    for run in runs_without_report(path, folder) if options.with_runs else ():
        flags = [text for name in options.only for text in ("--only", name)]
        status = max(status, main([str(run), "--out", str(folder / run.name), *flags, *["--quiet"] * options.quiet]))
    say(build_sweep(path, folder))
    return status


def _build(run: "Run", problems: dict[int, str], folder: Path, options: Options) -> int:
    """Write the report; the exit status."""
    from interp.html.blocks import Text
    from interp.html.page import PageSection, render_page, write_page
    from interp.pages.headings import provenance, step_labels, subtitle, title
    from interp.sections import SECTIONS

    folder.mkdir(parents=True, exist_ok=True)
    errors = folder / "errors.txt"
    errors.unlink(missing_ok=True)
    pages = [PageSection("problems", "Snapshots left out", [Text(_left_out(problems))])] if problems else []
    failed = False
    for section in SECTIONS:
        if options.only and section.id not in options.only:
            continue
        if not options.quiet:
            tell(f"{section.title} ...")
        try:
            blocks = section.build(run)
        except Exception as error:  # one section must not take the page with it
            failed = True
            with errors.open("a") as file:
                file.write(f"section {section.id}\n{traceback.format_exc()}\n")
            tell_error(f"section {section.id} failed: {type(error).__name__}: {error} (traceback in {errors})")
            blocks = [
                Text(f"This section failed: {type(error).__name__}. The traceback is in errors.txt beside this page.")
            ]
        pages.append(PageSection(section.id, section.title, blocks))
    html = render_page(
        title=title(run),
        subtitle=subtitle(run),
        sections=pages,
        steps=tuple(run.steps),
        step_labels=step_labels(run),
        provenance=provenance(run),
    )
    write_page(folder / "index.html", html)
    for text in problems.values():
        tell_error(f"{text}; left out of the report")
    return 3 if problems else 1 if failed else 0


def _left_out(problems: dict[int, str]) -> str:
    lines = "\n".join(f"- step {step:,}: {text}" for step, text in problems.items())
    return f"{len(problems)} snapshots could not be read and are left out of everything below:\n\n{lines}"


if __name__ == "__main__":
    raise SystemExit(main())
