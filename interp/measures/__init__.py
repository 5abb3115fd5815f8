"""Measures of a snapshot: ``measure_snapshot(snap)``, ``table(run)``, ``python -m interp.measures RUN``.

A family is a file of functions marked ``@measure`` and one name in ``FAMILIES``.
"""

import importlib
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
"""In the order in which they are listed."""


def load() -> "dict[str, Measure]":
    """Every measure by name, family by family, whatever was imported first."""
    for family in FAMILIES:
        importlib.import_module(f"{__name__}.{family}")
    from .registry import MEASURES

    return dict(sorted(MEASURES.items(), key=lambda item: FAMILIES.index(item[1].family)))


def choose(names: Iterable[str] | None) -> "list[Measure]":
    """The measures of these names, all where None.

    Raises:
        UsageError: an unknown name; the nearest is named.
    """
    from train.errors import UsageError
    from train.hints import nearest

    known = load()
    chosen = list(known) if names is None else list(names)
    for name in chosen:
        if name not in known:
            raise UsageError(f"unknown measure {name!r}{nearest(name, known)}; --list shows them all")
    return [known[name] for name in chosen]


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
    """Measures over training, tidy: columns step, measure, k, irrep, value, unit.

    k and irrep are NA where the measure is one number.

    Measures that do not apply are left out; ``measure_snapshot`` gives the reasons.

    Args:
        run: whose snapshots.
        names: which measures; all where not given.
        steps: at which snapshots; all where not given.
        visit: shown each snapshot when its measures are there, before they are forgotten.

    Raises:
        UsageError: an unknown name.
        MissingStep: there is no such snapshot.
    """
    import pandas as pd

    from interp.parts.memo import Unavailable

    chosen = choose(names)
    rows: list[tuple[int, str, int | None, str | None, float, str]] = []
    for step in run.steps if steps is None else steps:
        snap = run[step]
        for measure in chosen:
            value = measure(snap)
            if isinstance(value, Unavailable):
                continue
            parts = value if isinstance(value, dict) else {None: value}
            for at, number in parts.items():
                k, irrep = (None, at) if isinstance(at, str) else (at, None)
                rows.append((step, measure.name, k, irrep, number, measure.unit))
        visit(snap)
        snap.forget()
    frame = pd.DataFrame(rows, columns=["step", "measure", "k", "irrep", "value", "unit"])
    return frame.astype({"k": "Int64", "irrep": "string", "value": float})
