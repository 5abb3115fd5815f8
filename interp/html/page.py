"""The one self-contained page that shows blocks. It asks the network for nothing.

A figure that changes with the step is a plotly figure drawn for the last step plus tracks: arrays
[n_steps, ...] for named trace attributes. In the browser the script of `assets/` swaps in views of them as the
slider moves; in Python `Figure.at` does the same.
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
from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from .blocks import Block, Table, Text, Tiles, check_steps
from .tracks import figure_data

PAGE = Path(__file__).parent / "assets"


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
    check_steps(steps, "page")
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
