"""The page of a run: every section, one by one; if a section fails, the others are still shown."""

import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from interp.html.blocks import Block, Text
from interp.html.page import Page, PageSection
from interp.parts.keyfreqs import key_freqs as key_freqs_of
from interp.parts.threads import one_thread
from interp.runs.finding import open_run
from interp.runs.run import Run
from interp.sections import SECTIONS, Section
from interp.story.phases import phases
from train.cli.terminal import remark, tell_error
from train.errors import UsageError
from train.hints import nearest

from .headings import SHARED, print_steps, provenance, selections, step_labels, subtitle, title
from .kind import Built, Kind, folder_for
from .timing import Progress, Timings
from .writing import write


def report(
    run: Run | str | Path,
    out: str | Path | None = None,
    only: Sequence[str] = (),
    key_freqs: Sequence[int] | None = None,
    quiet: bool = True,
    timings: bool = False,
) -> Path:
    """Build a run's report and write it, as ``python -m interp.report`` does. Returns the path of ``index.html``.

    The page is written even if sections fail or snapshots are corrupt; each is named in one line on standard error.

    Args:
        run: a run, its directory, or a unique prefix of its name.
        out: the page's folder; ``reports/<run>`` by default.
        only: ids of the sections to build; all by default.
        key_freqs: frequencies to take as key; by default those of ``run``, or else the ones found at its last snapshot.
        quiet: False prints the name of each section on standard error before it is built.
        timings: True prints a table of the seconds that each section took, on standard error.

    Raises:
        UsageError: an unknown section or run, a run without snapshots, or a key frequency that is none of the run's.
        DataError: files of the run cannot be read.
        OSError: the page cannot be written.
    """
    if isinstance(run, Run):
        key_freqs = run.given_key_freqs if key_freqs is None else key_freqs
        run = run.path
    folder = None if out is None else Path(out)
    built = build(Path(run), folder, quiet=quiet, only=only, key_freqs=key_freqs or (), timings=timings)
    return write(built.page, built.folder, quiet, built.timings)


def build(
    path: Path,
    out: Path | None,
    *,
    quiet: bool,
    only: Sequence[str] = (),
    key_freqs: Sequence[int] = (),
    timings: bool = False,
) -> Built:
    """Build the page of the run at ``path``; tracebacks of sections that fail go to ``errors.txt`` beside the page.

    Raises:
        UsageError: an unknown section or run, a run without snapshots, or a key frequency that is none of the run's.
        DataError: files of the run cannot be read.
    """
    sections, times = _requested(only), Timings()
    with times.of("(opening)"):
        run, problems = _opened(path, tuple(key_freqs) or None)
    folder = folder_for(run.name, out)
    folder.mkdir(parents=True, exist_ok=True)
    errors = folder / "errors.txt"
    errors.unlink(missing_ok=True)
    left_out = [PageSection("problems", "Snapshots left out", [Text(_left_out(problems))])] if problems else []
    shown = _shown(sections, run, errors, times, quiet)
    marks = phases(run)
    page = Page(
        title=title(run),
        subtitle=subtitle(run),
        sections=_after_lead(left_out, shown),
        steps=tuple(run.steps),
        step_labels=step_labels(run),
        provenance=provenance(run),
        phases=marks,
        selections=selections(run),
        shared=SHARED,
        print_steps=print_steps(run, marks),
    )
    for text in problems.values():
        tell_error(f"{text}; left out of the report")
    return Built(page, folder, 3 if problems else 1 if errors.exists() else 0, times if timings else None)


def _shown(sections: list[Section], run: Run, errors: Path, times: Timings, quiet: bool) -> list[PageSection]:
    """The parts of the page in its order: the appendix last. Sections with work in another process are built last."""
    for section in sections:
        if section.begin is not None:
            with suppress(Exception):  # raised again, and reported, where the section is built
                section.begin(run)
    built: dict[str, list[PageSection]] = {}
    with Progress(len(sections), quiet=quiet) as progress:
        for number, section in enumerate(sorted(sections, key=lambda section: section.begin is not None)):
            progress.begin(number, section.title)
            with times.of(section.id), one_thread():
                built[section.id] = _parts(section, _blocks(section, run, errors))
        progress.end()
    shown = [part for section in sections for part in built[section.id]]
    return sorted(shown, key=lambda part: part.folded)


def _requested(only: Sequence[str]) -> list[Section]:
    """Sections of these ids, in the order of ``SECTIONS``; all where no id is given.

    Raises:
        UsageError: an id that no section has.
    """
    ids = [section.id for section in SECTIONS]
    unknown = [name for name in only if name not in ids]
    if unknown:
        raise UsageError(f"unknown section {unknown[0]!r}{nearest(unknown[0], ids)}; allowed are {', '.join(ids)}")
    return [section for section in SECTIONS if not only or section.id in only]


def _opened(path: Path, key_freqs: tuple[int, ...] | None) -> tuple[Run, dict[int, str]]:
    """The run without its corrupt snapshots, and what is wrong with each of those, by step.

    Raises:
        UsageError: no such run, no readable snapshot, or a key frequency that is none of the run's.
        DataError: the run's files cannot be read.
    """
    run = open_run(path, key_freqs=key_freqs)
    if run.store.doubt is not None:
        remark(run.store.doubt)
    _ = run.log  # read now, so that a damaged log is refused before a minute of work
    problems = run.problems()
    if problems:
        run = Run(run.store, without=problems, key_freqs=key_freqs)
    if not run.steps:
        raise UsageError(f"{run.path} has no readable snapshots yet: let it train a little")
    if key_freqs is not None:
        key_freqs_of(run)  # refuses a frequency that is none of the run's
    return run, problems


def _blocks(section: Section, run: Run, errors: Path) -> list[Block]:
    """The section's blocks, or one line where it fails, with the traceback appended to the file ``errors``."""
    try:
        return section.build(run)
    except Exception as error:
        with errors.open("a") as file:
            file.write(f"section {section.id}\n{traceback.format_exc()}\n")
        tell_error(f"section {section.id} failed: {type(error).__name__}: {error} (traceback in {errors})")
        failed = f"This section failed: {type(error).__name__}. The traceback is in errors.txt beside this page."
        return [Text(failed)]


def _parts(section: Section, blocks: list[Block]) -> list[PageSection]:
    """The section's blocks as one part of the page, and its tables for the appendix as another."""
    later = [block for block in blocks if getattr(block, "id", None) in section.appendix]
    now = [block for block in blocks if block not in later]
    parts = [PageSection(section.id, section.title, now, lead=section.lead, folded=section.folded)]
    if later:
        parts.append(PageSection(f"{section.id}-tables", section.appendix_title, later, folded=True))
    return parts


def _after_lead(problems: list[PageSection], shown: list[PageSection]) -> list[PageSection]:
    """All sections in order: the first screen, then the problems, then the rest."""
    lead = [section for section in shown if section.lead]
    return [*lead, *problems, *(section for section in shown if not section.lead)]


def _left_out(problems: dict[int, str]) -> str:
    lines = "\n".join(f"- step {step:,}: {text}" for step, text in problems.items())
    return f"{len(problems)} snapshots could not be read and are left out of everything below:\n\n{lines}"


def _recognises(path: Path) -> bool:
    """True for every path: ``open_run`` refuses a path that is not a run, and its message says what the path is."""
    return True


KIND = Kind("a run", _recognises, build, flags=("quiet", "only", "key_freqs", "timings"))
