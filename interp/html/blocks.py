"""Blocks: text, a table, tiles, or a figure with its tracks."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from .computed import Computed
from .tracks import Track, traces


@dataclass(frozen=True)
class Text:
    """Paragraphs in a small markdown, no HTML: **bold**, *italic*, `code`, lists, links (https, #section)."""

    markdown: str


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame with a caption; its index is not shown (`reset_index` to show it)."""

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Tile:
    """A tiny drawing that is a link: `lines` of points within 0 to 1 (x to the right, y up), each in its own colour."""

    lines: tuple[tuple[tuple[float, float], ...], ...]
    title: str
    href: str
    mark: str = ""
    """A word or a number below it."""


@dataclass(frozen=True)
class Tiles:
    """A table of tiles; None leaves a cell empty. `lines` names the tiles' lines, in the order of their colours."""

    caption: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Tile | None, ...]], ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """A plotly figure with the words around it and, if it changes with the step, its tracks.

    `fig` is drawn for the last of `steps` (updates done, increasing). `takeaway` is the sentence with the
    numbers, `source` a line of markdown, `alt` the description for those who do not see it, `texts` one
    sentence per step, shown below it. The page opens the figure at `default_step` (None: where the slider
    stands) and leaves it there until the slider moves. `computed` is drawn by the reader's choice instead of tracks.
    Raises ValueError where these do not fit together.
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
    computed: Computed | None = None

    def __post_init__(self) -> None:
        n_steps, n_traces, where = len(self.steps), len(traces(self.fig)), f"figure {self.heading!r}"
        check_steps(self.steps, where)
        if self.texts is not None and len(self.texts) != n_steps:
            raise ValueError(f"{where}: {len(self.texts)} texts for {n_steps} steps; give one per step")
        if self.default_step is not None and self.default_step not in self.steps:
            raise ValueError(f"{where}: default_step {self.default_step} is not in steps {self.steps}")
        for track in self.tracks:
            if not 0 <= track.trace < n_traces:
                raise ValueError(f"{where}: no trace {track.trace}; there are {n_traces}, numbered from 0")
            trace = traces(self.fig)[track.trace]
            if track.attr not in trace:
                raise ValueError(f"{where}: trace {track.trace} is a {trace.type}, without {track.attr!r}")
            shown, came = np.shape(trace[track.attr]), track.values.shape
            if came[0] != n_steps or (shown and shown != came[1:]):
                raise ValueError(f"{where}: track {track.attr!r} of trace {track.trace} has shape {came}; "
                                 f"expected {(n_steps, *shown)}, one for each step")  # fmt: skip

    def at(self, step: int) -> go.Figure:
        """The figure at `step` (updates done), with exact values. Raises KeyError for a step it has not."""
        if step not in self.steps:
            raise KeyError(f"figure {self.heading!r} has no step {step}; it has {self.steps}")
        fig, i = go.Figure(self.fig), self.steps.index(step)
        for track in self.tracks:
            value = track.values[i]
            traces(fig)[track.trace][track.attr] = value if value.ndim else value.item()
        return fig


Block = Text | Table | Tiles | Figure


def check_steps(steps: tuple[int, ...], where: str) -> None:
    """Refuse steps that do not increase. Raises ValueError."""
    if any(a >= b for a, b in zip(steps, steps[1:], strict=False)) or (steps and steps[0] < 0):
        raise ValueError(f"{where}: steps {steps} must be 0 or more, and increase")
