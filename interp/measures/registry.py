"""The class ``Measure``, the list of all measures, and the decorators that add to it: ``measure`` and ``scores``."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from interp.parts.irreps import Name
from interp.parts.keyfreqs import key_freqs_of, key_irreps_of
from interp.parts.memo import NotApplicable, Unavailable, part
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot

Value = float | dict[int, float] | dict[int | str, float]
"""A number, or one for each frequency k (cycles round the elements) or irrep."""
Compute = TypeVar("Compute", bound=Callable[[Snapshot], Value])
ComputeScore = TypeVar("ComputeScore", bound=Callable[..., "Score"])


@dataclass(frozen=True)
class Measure:
    """A number, or one number by frequency or irrep, that describes a snapshot."""

    name: str
    unit: str
    source: str
    doc: str
    """The definition, in one line."""
    family: str
    compute: Callable[[Snapshot], Value]
    chart: str | None = None
    """Chart of the report's progress section that draws the measure over training; None: no chart does."""

    def __call__(self, snap: Snapshot) -> Value | Unavailable:
        """The value at a snapshot, or the reason why the measure does not apply there."""
        try:
            return self.compute(snap)
        except NotApplicable as reason:
            return Unavailable(str(reason))


MEASURES: dict[str, Measure] = {}
"""Every measure by name, once ``interp.measures.load`` has imported the families."""


def measure(unit: str, source: str, chart: str | None = None) -> Callable[[Compute], Compute]:
    """Register a function of a snapshot in ``MEASURES`` under its own name; its docstring is the definition.

    Args:
        unit: of the value, as tables and axes show it.
        source: paper, and where in the paper or its code the definition stands.
        chart: the chart of the report's progress section that draws the measure over training: "losses" (nats, log
            scale), "shares" (0 to 1), or a heading of the measure's own.
    """

    def register(compute: Compute) -> Compute:
        _add(compute, compute.__name__, unit, source, compute.__doc__ or "", compute, chart)
        return compute

    return register


def _add(
    definition: Callable[..., object],
    name: str,
    unit: str,
    source: str,
    doc: str,
    compute: Callable[[Snapshot], Value],
    chart: str | None,
) -> None:
    assert name not in MEASURES, name
    family = definition.__module__.rpartition(".")[2]
    MEASURES[name] = Measure(name, unit, source, " ".join(doc.split()), family, compute, chart)


# ---- losses and accuracies over any rows, at any key frequencies ---------------------------------------------------


class Score(NamedTuple):
    """Mean cross-entropy in nats, and accuracy."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Keys:
    """The frequencies or irreps at which a definition is taken."""

    of: Callable[[Run], tuple[Name, ...]]
    all: str
    """Text that replaces ``{keys}`` in a definition over all keys; ``one`` is the text for a single key."""
    one: str


FREQS = Keys(lambda run: key_freqs_of(run).ks, "the key frequencies", "one key frequency")
IRREPS = Keys(key_irreps_of, "the key irreps", "one key irrep")
ROWS = {"all": "all rows", "train": "the training rows", "test": "the test rows"}


@dataclass(frozen=True)
class Over:
    """One measure of a definition that holds over any rows: ``Over("test")`` is the loss over the test rows."""

    rows: str
    """"all", "train" or "test"."""
    by_freq: bool = False
    """Whether the measure is one number for each key frequency (or irrep) alone, not one for all together."""
    accuracy: bool = False
    """Whether the measure is the accuracy rather than the loss."""
    note: str = ""
    """Text appended to the source."""
    chart: str | None = None
    """As in ``measure``."""


def scores(source: str, keys: Keys | None = None, /, **measures: Over) -> Callable[[ComputeScore], ComputeScore]:
    """Register the losses and accuracies that one function defines, over several rows and sets of frequencies.

    The function takes a snapshot and the rows ("all", "train" or "test"), and, where ``keys`` is given, a tuple of
    frequencies or irreps; each of its scores is computed once a snapshot. Its docstring is the definition of all the
    measures, with ``{score}``, ``{rows}`` and ``{keys}`` where they differ.

    Args:
        source: as in ``measure``.
        keys: the frequencies or irreps at which the measures are taken.
        measures: each measure by its public name.
    """

    def register(compute: ComputeScore) -> ComputeScore:
        once = part(compute)
        for name, over in measures.items():
            words = {"score": "Accuracy" if over.accuracy else "Mean cross-entropy", "rows": ROWS[over.rows]}
            if keys is not None:
                words["keys"] = keys.one if over.by_freq else keys.all
            doc = (compute.__doc__ or "").format(**words)
            unit = "share" if over.accuracy else "nats"
            value = functools.partial(_value, once, keys, over)
            _add(compute, name, unit, source + over.note, doc, value, over.chart)
        return once

    return register


def _value(compute: Callable[..., Score], keys: Keys | None, over: Over, snap: Snapshot) -> Value:
    def value(*at: tuple[Name, ...]) -> float:
        score = compute(snap, over.rows, *at)
        return score.accuracy if over.accuracy else score.loss

    if keys is None:
        return value()
    names = keys.of(snap.run)
    return {name: value((name,)) for name in names} if over.by_freq else value(names)
