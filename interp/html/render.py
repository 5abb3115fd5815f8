"""Rendering of a page as one self-contained HTML text that makes no network requests.

Figures are painted by the scripts of `assets/` from the section's payload (``packing``). plotly.js, which draws a
figure that a reader wants to look at closely, travels compressed: the content-security policy names the hash of its
text, so that only this text can run.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from .blocks import Figure, Table, Text, Tiles
from .drawn import figure_data
from .numbers import number
from .packing import Payload, as_it_is
from .page import Page, PageSection
from .still import still
from .widgets import Widget

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("arrays", "numbers", "scales", "frame", "paint", "legend", "pick", "panel", "pointer", "closely", "files",
           "state", "scrubber", "widgets", "main")  # fmt: skip
"""Files of the page's script, in order; together they are one function."""


@dataclass
class Rendered:
    """A page's HTML, with the bytes of its parts in it and those of each panel's arrays before compression."""

    html: str
    parts: dict[str, int] = field(default_factory=dict)
    panels: dict[str, int] = field(default_factory=dict)

    def table(self) -> list[str]:
        """A line for each part of the page, the panels of a section beside it, and the total."""
        lines = []
        for name, size in self.parts.items():
            inside = [f"{id.split('.')[1]} {n / 1e3:,.0f}" for id, n in self.panels.items() if id.split(".")[0] == name]
            panels = f"   unpacked: {', '.join(inside)}" if inside else ""
            lines += [f"{size / 1e3:10,.1f} kB  {name}{panels}"] if size else []
        return [*lines, f"{len(self.html.encode()) / 1e3:10,.1f} kB  the page"]


def render_page(page: Page) -> str:
    """The page as one HTML text; the same page gives the same bytes."""
    return rendered(page).html


def rendered(page: Page) -> Rendered:
    """The page as one HTML text, with the table of its bytes."""
    out = Rendered("")
    shared = Payload()
    shown = [_section(section, shared, out) for section in page.sections]
    weights = shared.base64(None) if shared.n_bytes else ""
    out.parts["arrays of widgets"] = len(weights)
    widgets = [b for section in page.sections for b in section.blocks if isinstance(b, Widget)]
    scripts = [_engine(page.choices is not None), *dict.fromkeys(widget.script for widget in widgets)]
    plotly, plotly_text = _plotly()
    style = _asset("page.css") + _asset("print.css")
    if any(isinstance(block, Tiles) for section in page.sections for block in section.blocks):
        style += _asset("tiles.css")
    facts = {
        "steps": page.steps, "labels": page.step_labels, "choices": page.choices, "phases": page.phases,
        "selections": page.selections, "shared": page.shared, "printSteps": page.print_steps,
    }  # fmt: skip
    out.parts |= {"plotly.js": len(plotly), "scripts and style": sum(map(len, scripts)) + len(style)}
    out.html = _template().render(
        page=page,
        sections=shown,
        lead=[part for part, section in zip(shown, page.sections, strict=True) if section.lead],
        rest=[part for part, section in zip(shown, page.sections, strict=True) if not section.lead],
        provenance={key: _plain(value) for key, value in page.provenance.items()},
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        hashes=[_sha256(script) for script in (*scripts, plotly_text)],
        shared=weights,
        plotly=plotly,
        facts=Markup(_json(facts)),
    )
    return out


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _engine(has_choices: bool) -> str:
    """The page's script: its files one after another inside one function, so that they share names with no one else."""
    names = [*SCRIPTS[:-1], *(["choices"] if has_choices else []), SCRIPTS[-1]]
    return '"use strict";\n(() => {\n' + "\n".join(_asset(f"{name}.js") for name in names) + "})();\n"


@cache
def _plotly() -> tuple[str, str]:
    """plotly.js compressed for the page, and its text."""
    text = get_plotlyjs()
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode(), text


def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))


def _section(section: PageSection, shared: Payload, out: Rendered) -> dict[str, Any]:
    """A section as the template needs it, with the payload of its figures and widgets ("" where it has none)."""
    payload, templates = Payload(), []
    views = list(_views(section, templates, payload, shared, out))
    content = [view["data"] for view in views if view["kind"] in ("Figure", "Widget")]
    text = payload.base64({"panels": content, "templates": templates}) if content else ""
    out.parts[section.id] = len(text)
    return {"section": section, "views": views, "payload": text}


def _views(
    section: PageSection, templates: list[dict], payload: Payload, shared: Payload, out: Rendered
) -> Iterator[dict[str, Any]]:
    """Each block as the template needs it; plotly's own templates are gathered in `templates`, each once."""
    markdown = MarkdownIt("zero").enable(["emphasis", "backticks", "list", "link", "escape"])
    markdown.validateLink = lambda url: url.startswith(("https://", "#"))
    for block in section.blocks:
        if isinstance(block, Text):
            yield {"kind": "Text", "html": Markup(markdown.render(block.markdown))}
            continue
        if isinstance(block, Table):
            yield {"kind": "Table", "id": f"{section.id}.{block.id}", "caption": block.caption, **_cells(block.frame)}
            continue
        if isinstance(block, Tiles):
            yield {"kind": "Tiles", "tiles": block, "points": _points}
            continue
        before, id = payload.n_bytes, f"{section.id}.{block.id}"
        data = _widget(block, shared) if isinstance(block, Widget) else _figure(block, templates, payload)
        out.panels[id] = payload.n_bytes - before
        takeaway = Markup(markdown.renderInline(block.takeaway))
        words = {
            "takeaway": takeaway,
            "source": Markup(markdown.renderInline(block.source)),
            "how": Markup(markdown.render(block.how)),
        }
        picture = ""
        if isinstance(block, Widget):
            picture = markdown.render(block.still)
        elif section.lead:
            picture = still(block)
        kind = "Widget" if isinstance(block, Widget) else "Figure"
        yield {"kind": kind, "data": data | {"id": id}, "figure": block, "still": Markup(picture), **words}


def _figure(figure: Figure, templates: list[dict], payload: Payload) -> dict[str, Any]:
    data = figure_data(figure.fig, figure.tracks, payload)
    links = [
        {"trace": link.trace, "name": link.name, "by": link.by}
        | ({} if link.values is None else {"values": np.asarray(link.values).astype(int).tolist()})
        for link in figure.links
    ]
    template = data["layout"].pop("template", {})
    if template not in templates:
        templates.append(template)
    return data | {
        "kind": "figure", "steps": figure.steps, "texts": figure.texts, "opens": figure.default_step, "links": links,
        "columns": figure.columns, "template": templates.index(template),
    }  # fmt: skip


def _widget(widget: Widget, shared: Payload) -> dict[str, Any]:
    """What a widget's script is given; its arrays go into the payload that all widgets share."""
    arrays = {name: shared.add_once(as_it_is(array)) for name, array in widget.arrays.items()}
    return {"kind": "widget", "name": widget.name, "arrays": arrays, "options": widget.options}


def _points(line: tuple[tuple[float, float], ...]) -> str:
    """Points of an SVG polyline in a box of 100 by 40."""
    return " ".join(f"{100 * x:.1f},{40 * (1 - y):.1f}" for x, y in line)


def _cells(frame: pd.DataFrame) -> dict[str, Any]:
    numeric = [bool(pd.api.types.is_numeric_dtype(dtype)) for dtype in frame.dtypes]
    rows = [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return {"columns": [str(name) for name in frame.columns], "numeric": numeric, "rows": rows}


def _plain(value: Any) -> str:
    """A value as text: fractions to four digits, a dash for a missing value."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    if not isinstance(value, str) and pd.isna(value):
        return "–"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float | np.floating):
        return number(float(value), 4)
    return str(value)


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element around it; NaN becomes null."""
    return json.dumps(data, cls=_Encoder, separators=(",", ":")).replace("<", "\\u003c")


class _Encoder(PlotlyJSONEncoder):
    def default(self, o: Any) -> Any:
        return asdict(o) if hasattr(o, "__dataclass_fields__") else super().default(o)


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
