"""A page: blocks in sections, with the steps of a slider and what a reader can select. ``render`` writes it as HTML."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .blocks import Block, Figure, Phase, check_steps


@dataclass(frozen=True)
class PageSection:
    """A titled list of blocks; `id` is the section's anchor in the page. Raises ValueError for a malformed id.

    The lead is the page's first screen, its sentences and compact figures side by side; a folded section is closed
    until the reader opens it.
    """

    id: str
    title: str
    blocks: Sequence[Block]
    lead: bool = False
    folded: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.id):
            raise ValueError(f"section id {self.id!r}: lower-case letters, digits, - and _, a letter first")


@dataclass(frozen=True)
class Selection:
    """Something that a reader can select: the page lights it up in every figure that shows it.

    Attributes:
        words: how the page speaks of a value: "frequency {}".
        names: names of the values from 0 on, where they have some; else the numbers themselves.
    """

    words: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A page of any kind: headings, sections of blocks, the slider's steps, and provenance for the footer.

    Raises ValueError for parts that do not fit together.
    """

    title: str
    subtitle: str
    sections: Sequence[PageSection]
    provenance: dict[str, Any]
    """Names and values of the footer."""
    steps: tuple[int, ...] = ()
    """Steps of the slider (updates done, increasing); empty for a page of still figures."""
    step_labels: tuple[str, ...] = ()
    """Label of the slider at each step."""
    choices: dict[str, tuple[str, ...]] | None = None
    """Names and values of selects in place of the slider: the steps are then their grid, the last name fastest."""
    phases: tuple[Phase, ...] = ()
    """Stretches of the steps that are marked on the slider."""
    selections: Mapping[str, Selection] = field(default_factory=dict)
    """What a reader can select, by the name that links and the page's address use."""
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of links that stand for several selections: {"token": ("a", "b")}. Choosing such an element sets the first
    selection that no other link of the element sets; the value of any of them lights it."""
    print_steps: tuple[int, ...] = ()
    """Steps at which the lead's figures are printed; the last step where there are none."""

    def __post_init__(self) -> None:
        check_steps(self.steps, "page")
        if len(self.step_labels) != len(self.steps):
            raise ValueError(f"{len(self.step_labels)} step_labels for {len(self.steps)} steps; give one per step")
        if self.choices is not None and math.prod(map(len, self.choices.values())) != len(self.steps):
            raise ValueError(
                f"{len(self.steps)} steps are not the grid of {self.choices}; give one for each combination"
            )
        if len({section.id for section in self.sections}) != len(self.sections):
            raise ValueError(f"section ids are not unique: {[section.id for section in self.sections]}")
        figures = [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]
        if not self.steps and any(figure.steps for figure in figures):
            raise ValueError("the page has no steps but some of its figures do; give the slider's steps")
        known = {*self.selections, *self.shared}
        unknown = sorted({link.name for figure in figures for link in figure.links} - known)
        if unknown:
            raise ValueError(f"figures link to {unknown}, which the page cannot select; it has {sorted(known)}")
