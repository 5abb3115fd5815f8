"""What a measure is, and the list of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from interp.parts.memo import NotApplicable, Unavailable
from interp.runs.snapshot import Snapshot

Value = float | dict[int, float] | dict[int | str, float]
"""A number, or one for each frequency k (cycles round the elements) or irrep."""
Compute = TypeVar("Compute", bound=Callable[[Snapshot], Value])


@dataclass(frozen=True)
class Measure:
    """A number, or one by frequency, that says something about a snapshot."""

    name: str
    unit: str
    source: str
    doc: str
    """Its definition."""
    family: str
    compute: Callable[[Snapshot], Value]

    def __call__(self, snap: Snapshot) -> Value | Unavailable:
        """Its value at a snapshot, or why it has none there."""
        try:
            return self.compute(snap)
        except NotApplicable as reason:
            return Unavailable(str(reason))


MEASURES: dict[str, Measure] = {}
"""Every measure by name, once ``interp.measures.load`` has imported the families."""


def measure(unit: str, source: str) -> Callable[[Compute], Compute]:
    """Register a function of a snapshot in ``MEASURES`` under its own name; its docstring is the definition."""

    def register(compute: Compute) -> Compute:
        name, family = compute.__name__, compute.__module__.rpartition(".")[2]
        doc = " ".join((compute.__doc__ or "").split())
        assert name not in MEASURES, name
        MEASURES[name] = Measure(name, unit, source, doc, family, compute)
        return compute

    return register
