"""Measures of a snapshot: ``measure_snapshot(snap)``, ``table(run)``, ``python -m interp.measures RUN``.

A family is a file of functions marked ``@measure`` and one name in ``FAMILIES``.
"""

import importlib
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from interp.runs.run import Run
    from interp.runs.snapshot import Snapshot

    from .registry import Measure

FAMILIES = (
    "losses",
    "norms",
    "spectra",
    "frequencies",
    "logits",
    "restricted",
    "neurons",
    "pizza",
    "circles",
    "irreps",
)
"""Families in the order in which tables list their measures."""


def load() -> "dict[str, Measure]":
    """Every measure by name, family by family, independent of the order of imports."""
    for family in FAMILIES:
        importlib.import_module(f"{__name__}.{family}")
    from .registry import MEASURES

    return dict(sorted(MEASURES.items(), key=lambda item: FAMILIES.index(item[1].family)))


def charts() -> "dict[str, list[Measure]]":
    """Measures that the report's progress section draws over training, by chart."""
    drawn: dict[str, list[Measure]] = {"losses": [], "shares": []}
    for measure in load().values():
        if measure.chart is not None:
            drawn.setdefault(measure.chart, []).append(measure)
    return drawn


def choose(names: Iterable[str] | None) -> "list[Measure]":
    """The measures of these names; all measures where ``names`` is None.

    Raises:
        UsageError: an unknown name; the message suggests the nearest known one.
    """
    from train.errors import UsageError
    from train.hints import nearest

    known = load()
    wanted = list(known) if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown measure {name!r}{nearest(name, known)}; --list shows them all")
    return [known[name] for name in wanted]


def measure_snapshot(snap: "Snapshot", names: Iterable[str] | None = None) -> dict[str, Any]:
    """Values of measures at one snapshot, by name; all measures where no names are given.

    A value is a number, a dictionary of numbers by frequency (or irrep), or ``Unavailable`` with the reason.

    Raises:
        UsageError: an unknown name.
    """
    return {measure.name: measure(snap) for measure in choose(names)}


def table(
    run: "Run",
    names: Iterable[str] | None = None,
    steps: Iterable[int] | None = None,
    visit: "Callable[[Snapshot], None]" = lambda snap: None,
) -> "pd.DataFrame":
    """Measures over training as a tidy frame: columns step, measure, k, irrep, value, unit.

    k and irrep are NA where the measure is one number. Measures that do not apply have no rows; ``measure_snapshot``
    gives the reasons. Snapshots are measured side by side, one a core.

    Args:
        run: the run whose snapshots are measured.
        names: names of measures; by default all.
        steps: steps of snapshots; by default all.
        visit: callback for each snapshot once it is measured, while its parts are still in memory; called in the order
            of the steps, in the caller's thread.

    Raises:
        UsageError: an unknown name.
        MissingStep: the run has no snapshot at one of the steps.
    """
    import pandas as pd

    from interp.parts.threads import one_thread, threads_for

    measures, todo = choose(names), list(run.steps if steps is None else steps)
    rows: list[tuple[int, str, int | None, str | None, float, str]] = []
    threads = threads_for(run)
    # the first snapshot alone: what snapshots share is then there, and no two threads compute it
    firsts = [0, *range(1, len(todo), threads.count), len(todo)] if todo else []
    with one_thread():
        for first, end in itertools.pairwise(firsts):
            snaps = [run[step] for step in todo[first:end]]
            for found, snap in zip(threads.map(lambda s: _rows(s, measures), snaps), snaps, strict=True):
                rows += found
                visit(snap)
                snap.forget()
    frame = pd.DataFrame(rows, columns=["step", "measure", "k", "irrep", "value", "unit"])
    return frame.astype({"k": "Int64", "irrep": "string", "value": float})


def _rows(snap: "Snapshot", measures: "Iterable[Measure]") -> list[tuple[int, str, int | None, str | None, float, str]]:
    """The rows of ``table`` at one snapshot."""
    from interp.parts.memo import Unavailable

    rows: list[tuple[int, str, int | None, str | None, float, str]] = []
    for measure in measures:
        value = measure(snap)
        if isinstance(value, Unavailable):
            continue
        parts = value if isinstance(value, dict) else {None: value}
        for at, number in parts.items():
            k, irrep = (None, at) if isinstance(at, str) else (at, None)
            rows.append((snap.step, measure.name, k, irrep, number, measure.unit))
    return rows
