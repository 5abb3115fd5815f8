"""The sections of a run's report, in reading order.

A section is a file with ``build(run) -> list of blocks`` and one line in ``SECTIONS``. A section that does not apply to
a run returns one ``Text`` with the reason. If a section raises, the rest of the page is still built (see
``interp.report``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from interp.html.blocks import Block
from interp.runs.run import Run

from . import (
    ablations,
    attention,
    curves,
    grid,
    keyfreqs,
    logits,
    maps,
    neurons,
    norms,
    overview,
    patching,
    pizza,
    progress,
    spectra,
    whatif,
)


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    id: str
    title: str
    build: Callable[[Run], list[Block]]
    figures: Mapping[str, str] = field(default_factory=dict)
    """Contents, by id, of the figures that the section can have; which of them appear depends on the run."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Contents, by id, of the tables that the section can have."""


SECTIONS = [
    Section("overview", "Overview", overview.build, tables=overview.TABLES),
    Section("curves", "Loss and accuracy", curves.build, curves.FIGURES),
    Section("spectra", "Fourier spectra", spectra.build, spectra.FIGURES),
    Section("progress", "Progress measures", progress.build, progress.FIGURES, progress.TABLES),
    Section("keyfreqs", "Key-frequency stability", keyfreqs.build, keyfreqs.FIGURES, keyfreqs.TABLES),
    Section("neurons", "Neurons", neurons.build, neurons.FIGURES),
    Section("attention", "Attention", attention.build, attention.FIGURES),
    Section("logits", "Logit map", logits.build, logits.FIGURES),
    Section("whatif", "What if", whatif.build),
    Section("maps", "Maps of the output layer", maps.build, maps.FIGURES),
    Section("pizza", "Clock or pizza", pizza.build, pizza.FIGURES, pizza.TABLES),
    Section("ablations", "Ablations", ablations.build, ablations.FIGURES, ablations.TABLES),
    Section("patching", "Patching", patching.build, tables=patching.TABLES),
    Section("norms", "Weight norms", norms.build, norms.FIGURES),
    Section("grid", "The table, answered", grid.build, grid.FIGURES),
]
