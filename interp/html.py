"""Blocks (text, table, figure with tracks) and the one self-contained page that shows them.

A figure that changes with the step is a plotly figure drawn for the last step plus tracks: arrays
[n_steps, ...] for named trace attributes. In the browser the script of `page/` swaps in views of them as the
slider moves; in Python `Figure.at` does the same. The page asks the network for nothing.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from interp.computed import Computed
from interp.tracks import Track, figure_data, traces

PAGE = Path(__file__).parent / "page"


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
        _check_steps(self.steps, where)
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


@dataclass(frozen=True)
class PageSection:
    """A titled list of blocks; `id` is its address in the page. Raises ValueError for an id that is none."""

    id: str
    title: str
    blocks: Sequence[Block]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.id):
            raise ValueError(f"section id {self.id!r}: lower-case letters, digits, - and _, a letter first")


def render_page(
    title: str,
    subtitle: str,
    sections: Sequence[PageSection],
    steps: tuple[int, ...],
    step_labels: tuple[str, ...],
    provenance: dict[str, Any],
    choices: dict[str, tuple[str, ...]] | None = None,
) -> str:
    """The page as one HTML text, about 4.9 MB of which is plotly.js; the same input gives the same bytes.

    `steps` (updates done, increasing; empty for a page of still figures) are the slider's, `step_labels` what
    it says at each. `provenance` goes to the footer. With `choices` the steps are a grid of them, the last
    fastest, and a select for each stands in the slider's place. Raises ValueError for inputs that do not fit together.
    """
    _check_steps(steps, "page")
    if len(step_labels) != len(steps):
        raise ValueError(f"{len(step_labels)} step_labels for {len(steps)} steps; give one per step")
    if choices is not None and math.prod(map(len, choices.values())) != len(steps):
        raise ValueError(f"{len(steps)} steps are not the grid of {choices}; give one for each combination")
    if len({s.id for s in sections}) != len(sections):
        raise ValueError(f"section ids are not unique: {[s.id for s in sections]}")
    templates: list[dict] = []
    shown = [(section, list(_views(section, templates))) for section in sections]
    figures = [view["data"] for _, views in shown for view in views if view["kind"] == "Figure"]
    if not steps and any(figure["steps"] for figure in figures):
        raise ValueError("the page has no steps but some of its figures do; give the slider's steps")
    data = {"steps": steps, "labels": step_labels, "templates": templates, "figures": figures}
    if choices is not None:
        data["choices"] = choices
    computing = sorted({figure["computed"]["script"] for figure in figures if "computed" in figure})
    scripts = [get_plotlyjs(), *(_asset(f"{name}.js") for name in computing), _asset("page.js")]
    scripts += [] if choices is None else [_asset("choices.js")]
    style = _asset("page.css")
    if any(view["kind"] == "Tiles" for _, views in shown for view in views):
        style += _asset("tiles.css")
    return _template().render(
        title=title,
        subtitle=subtitle,
        sections=shown,
        steps=steps,
        labels=step_labels,
        provenance={key: _plain(value) for key, value in provenance.items()},
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        hashes=[_sha256(script) for script in scripts],
        data=Markup(_json(data)),
    )


def write_page(path: Path, html: str) -> None:
    """Write the page whole or not at all, over an older one; make its folder if need be. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("xb") as file:
            file.write(html.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _asset(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))


def _check_steps(steps: tuple[int, ...], where: str) -> None:
    if any(a >= b for a, b in zip(steps, steps[1:], strict=False)) or (steps and steps[0] < 0):
        raise ValueError(f"{where}: steps {steps} must be 0 or more, and increase")


def _views(section: PageSection, templates: list[dict]) -> Iterator[dict[str, Any]]:
    """What the template needs of each block; plotly templates are gathered, each kept once."""
    markdown = MarkdownIt("zero").enable(["emphasis", "backticks", "list", "link", "escape"])
    markdown.validateLink = lambda url: url.startswith(("https://", "#"))
    for n, block in enumerate(section.blocks, 1):
        if isinstance(block, Text):
            yield {"kind": "Text", "html": Markup(markdown.render(block.markdown))}
        elif isinstance(block, Table):
            yield {"kind": "Table", "caption": block.caption, **_cells(block.frame)}
        elif isinstance(block, Tiles):
            yield {"kind": "Tiles", "tiles": block, "points": _points}
        else:
            data = figure_data(block.fig, block.tracks)
            data |= {"id": f"{section.id}.{n}", "steps": block.steps, "texts": block.texts}
            data["opens"] = block.default_step
            if block.computed is not None:
                data["computed"] = block.computed.data()
                data["data"][block.computed.trace].pop("z", None)  # the page computes it
            template = data["layout"].pop("template", {})
            if template not in templates:
                templates.append(template)
            data["template"] = templates.index(template)
            source = Markup(markdown.renderInline(block.source))
            yield {"kind": "Figure", "data": data, "figure": block, "source": source}


def _points(line: tuple[tuple[float, float], ...]) -> str:
    """Of an SVG polyline in a box of 100 by 40."""
    return " ".join(f"{100 * x:.1f},{40 * (1 - y):.1f}" for x, y in line)


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    numeric = [bool(pd.api.types.is_numeric_dtype(dtype)) for dtype in frame.dtypes]
    rows = [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return {"columns": [str(name) for name in frame.columns], "numeric": numeric, "rows": rows}


def _plain(value: Any) -> str:
    """Four digits for a fraction, whole numbers whole, a dash where there is nothing."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    if not isinstance(value, str) and pd.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        return str(int(value)) if value == np.rint(value) and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in; NaN is null."""
    return json.dumps(data, cls=PlotlyJSONEncoder, separators=(",", ":")).replace("<", "\\u003c")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
