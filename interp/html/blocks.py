"""Blocks: text, a table, tiles, or a figure with its tracks. Tables and figures have an id, unique in their section."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .export import save_figure
from .notebook import bundle, table_html, titled
from .tracks import Track, set_frame, traces
from .widgets import Widget

MOST_WORDS = 5
"""Number of leading words of a heading or a caption that become an id."""


@dataclass(frozen=True)
class Phase:
    """A stretch of steps with a name, from `first` to `last`, drawn on the slider."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Link:
    """Elements of trace number `trace` that stand for values of the selection `name`, such as "k".

    `by` says which elements: "trace" (the whole trace stands for the one value in `values`), "point" (`values` has one
    value for each point or bar), "x" or "y" (the coordinate itself is the value: bars, columns and rows of images).
    Raises ValueError for another `by`, and for values that do not fit it.
    """

    trace: int
    name: str
    by: str
    values: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.by not in ("trace", "point", "x", "y"):
            raise ValueError(f"link by {self.by!r}: trace, point, x or y are allowed")
        n_values = None if self.values is None else self.values.size
        if (n_values is None) != (self.by in ("x", "y")) or (self.by == "trace" and n_values != 1):
            raise ValueError(
                f"link {self.name!r} by {self.by}: give one value for a trace, one a point, none for x or y"
            )


@dataclass(frozen=True)
class Text:
    """Paragraphs in a subset of markdown without HTML: **bold**, *italic*, `code`, lists, links (https, #section)."""

    markdown: str


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame with a caption; its index is not shown (`reset_index` to show it).

    `id` is made of the caption's first words where none is given. Raises ValueError for an id with other characters
    than letters, digits and _.
    """

    frame: pd.DataFrame
    caption: str
    id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", checked_id(self.id or id_of(self.caption)))

    def _repr_html_(self) -> str:
        """The table for notebooks: names and values are text, never markup; long tables are cut in the middle."""
        return table_html(self.frame, self.caption)


@dataclass(frozen=True)
class Tile:
    """A tiny drawing that is a link: lines of points from 0 to 1 (x to the right, y up), each in its own colour."""

    lines: tuple[tuple[tuple[float, float], ...], ...]
    title: str
    href: str
    mark: str = ""
    """A word or a number below the drawing."""


@dataclass(frozen=True)
class Tiles:
    """A table of tiles; None leaves a cell empty. `lines` are the names of the lines, in the order of colours."""

    caption: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Tile | None, ...]], ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """A plotly figure with the words around it and, if it changes with the step, its tracks.

    `fig` is drawn for the last of `steps` (updates done, increasing). `takeaway` is the sentence with the
    numbers, `source` a line of markdown, `alt` a description for readers who do not see the figure, `texts` one
    sentence per step, shown below the figure. The page opens the figure at `default_step` (None: where the slider
    stands) and leaves it there until the slider moves. `how` says how to read the figure, `links` which of its
    elements stand for what readers select. `columns` names the columns of the figure's data as a table, by "trace",
    "x", "y" and "z"; those without a name are left out. `id` is made of the heading where none is given. Raises
    ValueError for fields that do not fit together.
    """

    fig: go.Figure
    heading: str
    takeaway: str
    source: str
    alt: str
    steps: tuple[int, ...] = ()
    tracks: tuple[Track, ...] = ()
    texts: tuple[str, ...] | None = None
    default_step: int | None = None
    how: str = ""
    links: tuple[Link, ...] = ()
    columns: dict[str, str] | None = None
    id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", checked_id(self.id or id_of(self.heading)))
        n_steps, n_traces, where = len(self.steps), len(traces(self.fig)), f"figure {self.heading!r}"
        check_steps(self.steps, where)
        if self.texts is not None and len(self.texts) != n_steps:
            raise ValueError(f"{where}: {len(self.texts)} texts for {n_steps} steps; give one per step")
        if self.default_step is not None and self.default_step not in self.steps:
            raise ValueError(f"{where}: default_step {self.default_step} is not in steps {self.steps}")
        for part in (*self.tracks, *self.links):
            if not 0 <= part.trace < n_traces:
                raise ValueError(f"{where}: no trace {part.trace}; there are {n_traces}, numbered from 0")
        for track in self.tracks:
            trace = traces(self.fig)[track.trace]
            if track.attr not in trace:
                raise ValueError(f"{where}: trace {track.trace} is a {trace.type}, without {track.attr!r}")
            drawn, tracked = np.shape(trace[track.attr]), track.values.shape
            if tracked[0] != n_steps or (drawn and drawn != tracked[1:]):
                raise ValueError(f"{where}: track {track.attr!r} of trace {track.trace} has shape {tracked}; "
                                 f"expected {(n_steps, *drawn)}, one for each step")  # fmt: skip

    def at(self, step: int) -> go.Figure:
        """The figure at `step` (updates done), with exact values. Raises KeyError where the figure lacks the step."""
        if step not in self.steps:
            raise KeyError(f"figure {self.heading!r} has no step {step}; it has {self.steps}")
        fig, i = go.Figure(self.fig), self.steps.index(step)
        for track in self.tracks:
            value = track.values[i]
            traces(fig)[track.trace][track.attr] = value if value.ndim else value.item()
        return fig

    def framed(self, step: int | None = None) -> go.Figure:
        """The figure for a notebook: axes and colours span all steps as in the page, and the heading is its title.

        Args:
            step: updates done. Where the figure lacks the step it shows the nearest of its own (by the ratio of
                step + 1, as the page does) and says so in the title. None: the step at which the page opens.

        Raises:
            ValueError: a step is given, but the figure has none.
        """
        if not self.steps:
            if step is not None:
                raise ValueError(f"figure {self.heading!r} does not change with the step: leave out the step")
            return titled(go.Figure(self.fig), self.heading, "")
        asked = step if step is not None else self.steps[-1] if self.default_step is None else self.default_step
        shown = nearest_step(self.steps, asked)
        fig = self.at(shown)
        set_frame(fig, self.tracks)
        return titled(fig, self.heading, f"step {shown:,}" + ("" if shown == asked else f", nearest to {asked:,}"))

    def save(self, path: str | Path, step: int | None = None) -> Path:
        """Write the figure at a step to a .png, .svg, .pdf or .html file: see ``framed`` and ``save_figure``."""
        return save_figure(self.framed(step), path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The framed figure for notebooks, drawn without a request to the network."""
        return bundle(self.framed(), self.takeaway, f"<Figure {self.id}: {self.heading}>")


Block = Text | Table | Tiles | Figure | Widget


def check_steps(steps: tuple[int, ...], where: str) -> None:
    """Refuse steps that do not increase. Raises ValueError."""
    if any(a >= b for a, b in zip(steps, steps[1:], strict=False)) or (steps and steps[0] < 0):
        raise ValueError(f"{where}: steps {steps} must be 0 or more, and increase")


def by_id(blocks: Sequence[Block]) -> dict[str, Table | Figure]:
    """Tables and figures of a section by id. Raises ValueError where two share an id."""
    named = [block for block in blocks if isinstance(block, Table | Figure)]
    ids = [block.id for block in named]
    if len(set(ids)) != len(ids):
        raise ValueError(f"ids of a section's blocks are not unique: {ids}")
    return dict(zip(ids, named, strict=True))


def nearest_step(steps: Sequence[int], step: int) -> int:
    """The step with the nearest log10(step + 1), the earlier of two at one distance: the rule of the page's script."""
    return min(steps, key=lambda s: abs(math.log10(s + 1) - math.log10(step + 1)))


def id_of(text: str) -> str:
    """An id made of the first words of a heading or a caption: "Loss over time, in steps" gives "loss_over_time"."""
    start = re.split(r"[.,:;(]", text, maxsplit=1)[0]
    return "_".join(re.findall(r"[a-z0-9]+", start.lower())[:MOST_WORDS]) or "block"


def checked_id(id: str) -> str:
    """The id itself. Raises ValueError where it has other characters than letters, digits and _."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", id):
        raise ValueError(f"id {id!r}: letters, digits and _ are allowed")
    return id
