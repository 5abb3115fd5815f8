"""A page: blocks in sections, rendered as one self-contained HTML text that makes no network requests.

A figure that changes with the step is a plotly figure drawn for the last step plus tracks: arrays
[n_steps, ...] for named trace attributes. In the browser the script of `assets/` swaps in views of them as the
slider moves; in Python `Figure.at` does the same.
"""

import base64
import hashlib
import json
import math
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

from .blocks import Block, Figure, Phase, Table, Text, Tiles, check_steps
from .numbers import number
from .tracks import figure_data

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class PageSection:
    """A titled list of blocks; `id` is the section's anchor in the page. Raises ValueError for a malformed id."""

    id: str
    title: str
    blocks: Sequence[Block]
    lead: bool = False
    """Whether the section is the page's first screen."""
    folded: bool = False
    """Whether the section is an appendix that readers unfold."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.id):
            raise ValueError(f"section id {self.id!r}: lower-case letters, digits, - and _, a letter first")


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
    """Stretches of the slider with a name each."""

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
        blocks = [block for section in self.sections for block in section.blocks]
        if not self.steps and any(isinstance(block, Figure) and block.steps for block in blocks):
            raise ValueError("the page has no steps but some of its figures do; give the slider's steps")


def render_page(page: Page) -> str:
    """The page as one HTML text, of which plotly.js is about 4.9 MB; the same page gives the same bytes."""
    templates: list[dict] = []
    shown = [(section, list(_views(section, templates))) for section in page.sections]
    figures = [view["data"] for _, views in shown for view in views if view["kind"] == "Figure"]
    data = {"steps": page.steps, "labels": page.step_labels, "templates": templates, "figures": figures}
    if page.choices is not None:
        data["choices"] = page.choices
    computing = sorted({figure["computed"]["script"] for figure in figures if "computed" in figure})
    scripts = [get_plotlyjs(), *(_asset(f"{name}.js") for name in computing), _asset("page.js")]
    scripts += [] if page.choices is None else [_asset("choices.js")]
    style = _asset("page.css")
    if any(view["kind"] == "Tiles" for _, views in shown for view in views):
        style += _asset("tiles.css")
    return _template().render(
        title=page.title,
        subtitle=page.subtitle,
        sections=shown,
        steps=page.steps,
        labels=page.step_labels,
        provenance={key: _plain(value) for key, value in page.provenance.items()},
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        hashes=[_sha256(script) for script in scripts],
        data=Markup(_json(data)),
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))


def _views(section: PageSection, templates: list[dict]) -> Iterator[dict[str, Any]]:
    """Each block as the template needs it; plotly's own templates are gathered in `templates`, each once."""
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
    """Points of an SVG polyline in a box of 100 by 40."""
    return " ".join(f"{100 * x:.1f},{40 * (1 - y):.1f}" for x, y in line)


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    numeric = [bool(pd.api.types.is_numeric_dtype(dtype)) for dtype in frame.dtypes]
    rows = [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return {"columns": [str(name) for name in frame.columns], "numeric": numeric, "rows": rows}


def _plain(value: Any) -> str:
    """A value as text: a fraction to four digits as people write it, a dash for a missing value."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    if not isinstance(value, str) and pd.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        return number(float(value), 4)
    return str(value)


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element around it; NaN becomes null."""
    return json.dumps(data, cls=PlotlyJSONEncoder, separators=(",", ":")).replace("<", "\\u003c")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
