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
    circles,
    curves,
    glossary,
    grid,
    keyfreqs,
    logits,
    maps,
    methods,
    neurons,
    norms,
    overview,
    patching,
    pizza,
    progress,
    provenance,
    spectra,
    story,
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
    lead: bool = False
    """Whether the section is the page's first screen."""
    folded: bool = False
    """Whether the section belongs to the appendix, which readers unfold."""
    appendix: tuple[str, ...] = ()
    """Ids of tables that the page shows in the appendix, in a section of their own."""
    appendix_title: str = ""
    """Title of that section."""
    begin: Callable[[Run], None] | None = None
    """Starts work in another process, before the sections are built; ``build`` does it where nothing was begun."""


SECTIONS = [
    Section("story", "The story", story.build, story.FIGURES, lead=True),
    Section("curves", "What happened", curves.build, curves.FIGURES),
    Section("spectra", "What was learnt: frequencies", spectra.build, spectra.FIGURES),
    Section("circles", "What was learnt: circles", circles.build, circles.FIGURES),
    Section("maps", "What was learnt: maps of the output layer", maps.build, maps.FIGURES, begin=maps.begin),
    Section("attention", "How it computes: attention", attention.build, attention.FIGURES),
    Section("neurons", "How it computes: neurons", neurons.build, neurons.FIGURES),
    Section("logits", "How it computes: logits", logits.build, logits.FIGURES),
    Section("whatif", "How it computes: try it", whatif.build),
    Section("pizza", "What to call it: clock or pizza", pizza.build, pizza.FIGURES, pizza.TABLES),
    Section("ablations", "Is it causal? Ablations", ablations.build, ablations.FIGURES, ablations.TABLES),
    Section("patching", "Is it causal? Patching", patching.build, tables=patching.TABLES),
    Section(
        "progress",
        "When: progress measures",
        progress.build,
        progress.FIGURES,
        progress.TABLES,
        appendix=("measures", "unavailable"),
        appendix_title="Every measure",
    ),
    Section("keyfreqs", "When: key frequencies", keyfreqs.build, keyfreqs.FIGURES, keyfreqs.TABLES),
    Section("norms", "When: weight norms", norms.build, norms.FIGURES),
    Section("grid", "The table at full size", grid.build, grid.FIGURES, folded=True),
    Section("overview", "Key numbers and configuration", overview.build, tables=overview.TABLES, folded=True),
    Section("methods", "Methods", methods.build, folded=True),
    Section("glossary", "Glossary", glossary.build, tables=glossary.TABLES, folded=True),
    Section("provenance", "Provenance", provenance.build, tables=provenance.TABLES, folded=True),
]
