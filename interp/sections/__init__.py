"""The sections of a run's report, in reading order.

A section is a file with ``build(run) -> list of blocks`` and one line here. A section whose needs are not met
returns one ``Text`` with the reason; one that raises does not take the page with it (see ``interp.report``).
"""

from collections.abc import Callable
from dataclasses import dataclass

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
)


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    id: str
    title: str
    build: Callable[[Run], list[Block]]


SECTIONS = [
    Section("overview", "Overview", overview.build),
    Section("curves", "Loss and accuracy", curves.build),
    Section("spectra", "Fourier spectra", spectra.build),
    Section("progress", "Progress measures", progress.build),
    Section("keyfreqs", "Key-frequency stability", keyfreqs.build),
    Section("neurons", "Neurons", neurons.build),
    Section("attention", "Attention", attention.build),
    Section("logits", "Logit map", logits.build),
    Section("maps", "Maps of the output layer", maps.build),
    Section("pizza", "Clock or pizza", pizza.build),
    Section("ablations", "Ablations", ablations.build),
    Section("patching", "Patching", patching.build),
    Section("norms", "Weight norms", norms.build),
    Section("grid", "The table, answered", grid.build),
]
