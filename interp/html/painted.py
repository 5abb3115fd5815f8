"""What the page's painters can draw: a subset of plotly, and the ranges of all axes.

A figure outside the subset is drawn by plotly itself, so nothing that a figure says is left out silently.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from plotly.colors import DEFAULT_PLOTLY_COLORS

from .tracks import MARGIN, as_numbers

ANY: dict[str, Any] = {"*": None}
_TEXT: Any = None  # any value
ONE = object()
"""Stands for any value that is not an array."""
LINES_FROM = 20
"""Number of points from which plotly draws a curve without markers where a figure leaves the choice to it."""
HOVERED = {"x", "y", "z", "text", "customdata"}
"""What a hover template may name."""
_COLOUR_BAR = {"title": ANY, "thickness": _TEXT, "x": _TEXT, "tickvals": _TEXT, "ticktext": _TEXT, "len": _TEXT}
_COMMON = (
    dict.fromkeys(("x", "y", "text", "customdata"))
    | dict.fromkeys(("name", "hovertemplate", "hoverinfo", "legendgroup", "xaxis", "yaxis", "opacity"), ONE)
    | {"visible": {True, "legendonly"}, "showlegend": {True, False}}
)
_SYMBOLS = {"circle", "circle-open", "diamond", "square-open", "triangle-up-open", "x-thin-open", "x", "cross"}
TRACES: dict[str, dict[str, Any]] = {
    "scatter": _COMMON
    | {
        "mode": {"lines", "markers", "lines+markers"},
        "line": {"color": _TEXT, "dash": {"solid", "dash", "dot", "dashdot"}, "width": _TEXT},
        "marker": dict.fromkeys(("color", "colorscale", "cmin", "cmax", "cmid"))
        | {"size": ONE, "opacity": ONE, "symbol": _SYMBOLS, "line": ANY},
        "fill": {"toself"},
        "fillcolor": _TEXT,
        "error_y": {"array": _TEXT, "thickness": _TEXT, "width": _TEXT},
    },
    "bar": {key: allowed for key, allowed in _COMMON.items() if key != "text"}  # plotly writes it on the bars
    | {"marker": {"color": _TEXT}, "orientation": {"v", "h"}},
    "heatmap": _COMMON
    | {"z": _TEXT, "zmin": _TEXT, "zmax": _TEXT, "zmid": _TEXT, "colorscale": _TEXT, "showscale": {True, False}}
    | {"colorbar": _COLOUR_BAR},
}
"""Attributes of each kind of trace, with the values allowed where not all are."""
_AXIS = dict.fromkeys(
    ("anchor", "domain", "range", "dtick", "tickformat", "tickvals", "ticktext", "categoryarray", "matches")
    + ("scaleanchor", "constrain", "showticklabels", "zeroline", "automargin", "title", "showgrid")
) | {
    "type": {"linear", "log", "category", "-"},
    "autorange": {True, False, "reversed"},
    "exponentformat": {"power", "none"},
    "categoryorder": {"array"},
}
_NOTE = dict.fromkeys(("text", "x", "y", "font")) | {
    "xref": {"paper"},
    "yref": {"paper"},
    "xanchor": {"center"},
    "yanchor": {"bottom"},
    "showarrow": {False},
}
_LEVEL = dict.fromkeys(("x0", "x1", "y0", "y1", "xref", "yref", "line")) | {"type": {"line"}}
LAYOUT: dict[str, Any] = dict.fromkeys(("template", "margin", "legend", "height", "width", "font", "showlegend")) | {
    "barmode": {"group"},
}


def unknown(data: list[dict], layout: dict) -> str | None:
    """The first thing in plotly's JSON of a figure that the painters do not know; None where they can draw it."""
    return next(_unknown(data, layout), None)


def _unknown(data: list[dict], layout: dict) -> Iterator[str]:
    for i, trace in enumerate(data):
        kind = trace.get("type", "scatter")
        if kind not in TRACES:
            yield f"trace {i} is a {kind}"
            continue
        yield from _beyond({key: value for key, value in trace.items() if key != "type"}, TRACES[kind], f"{kind}.")
        yield from _missing(trace, kind)
    bars = [(trace.get("xaxis"), trace.get("yaxis")) for trace in data if trace.get("type") == "bar"]
    if len(set(bars)) < len(bars):
        yield "several bars in one place"
    for key, value in layout.items():
        if key.startswith(("xaxis", "yaxis")):
            yield from _beyond(value, _AXIS, f"{key}.")
            if None in list(value.get("range") or ()):
                yield f"{key}.range with one end"
        elif key == "annotations":
            for note in value:
                yield from _beyond(note, _NOTE, "annotation.")
                if not {"xref", "yref", "showarrow"} <= set(note):
                    yield "annotation that is not a title"
        elif key == "shapes":
            for shape in value:
                yield from _beyond(shape, _LEVEL, "shape.")
                across = "domain" in f"{shape.get('xref')} {shape.get('yref')}"
                if "type" not in shape or not across:
                    yield "shape that is not a line across an axis"
        else:
            yield from _beyond({key: value}, LAYOUT, "layout.")


def _missing(trace: dict, kind: str) -> Iterator[str]:
    """What plotly would take from its template or from its own script."""
    marker = trace.get("marker") or {}
    colours = trace.get("z") if kind == "heatmap" else marker.get("color")
    scaled = trace if kind == "heatmap" else marker
    if colours is not None and as_numbers(colours).dtype.kind in "biuf" and "colorscale" not in scaled:
        yield f"{kind} without a colour scale"
    named = set(re.findall(r"%\{([^}:]*)", str(trace.get("hovertemplate", ""))))
    yield from (f"{kind}.hovertemplate with {name}" for name in sorted(named - HOVERED))


def _beyond(tree: dict, known: dict[str, Any], where: str) -> Iterator[str]:
    if known is ANY:
        return
    for key, value in tree.items():
        if key not in known:
            yield f"{where}{key}"
        elif isinstance(allowed := known[key], dict):
            yield from _beyond(value, allowed, f"{where}{key}.")
        elif isinstance(allowed, set) and (not isinstance(value, str | bool) or value not in allowed):
            yield f"{where}{key} = {value}"
        elif allowed is ONE and isinstance(value, list | tuple | np.ndarray):
            yield f"{where}{key} is an array"


def complete_colours(data: list[dict], layout: dict) -> None:
    """Give each trace the colour that plotly would, and scales around a middle their ends."""
    way = ((layout.get("template") or {}).get("layout") or {}).get("colorway") or DEFAULT_PLOTLY_COLORS
    for i, trace in enumerate(data):
        if trace.get("type") == "heatmap":
            _centre(trace, trace.get("z"), "z")
            continue
        marker = trace.get("marker") or {}
        own = marker.get("color")
        _centre(marker, own, "c")
        if trace.get("type") == "bar":
            trace["marker"] = {"color": way[i % len(way)]} | marker
        else:
            trace["line"] = {"color": own if isinstance(own, str) else way[i % len(way)]} | (trace.get("line") or {})


def _centre(scale: dict, values: Any, letter: str) -> None:
    lo, mid, hi = (f"{letter}{end}" for end in ("min", "mid", "max"))
    if scale.get(mid) is None or lo in scale or hi in scale or values is None:
        return
    away = np.abs(as_numbers(values).astype(float) - scale[mid])
    reach = float(away[np.isfinite(away)].max(initial=0.0))
    scale |= {lo: scale[mid] - reach, hi: scale[mid] + reach}


def complete_axes(data: list[dict], layout: dict) -> None:
    """Give every curve its mode, and every axis with data its type and its range.

    `data` holds arrays, not plotly's codes of them.

    Axes that match another share its range. Images reach from edge to edge; categories keep plotly's order.
    """
    groups: dict[str, list[tuple[str, np.ndarray, dict]]] = {}
    for trace in data:
        if trace.get("type", "scatter") == "scatter":
            n_points = max(np.size(trace.get("x", ())), np.size(trace.get("y", ())))
            trace.setdefault("mode", "lines+markers" if n_points < LINES_FROM else "lines")
        for letter in "xy":
            axis = f"{letter}axis{str(trace.get(f'{letter}axis', letter))[1:]}"
            values = _values_on(trace, letter)
            if values is not None:
                root = layout.setdefault(axis, {}).get("matches")
                groups.setdefault(f"{root[0]}axis{root[1:]}" if root else axis, []).append((axis, values, trace))
    for root, members in groups.items():
        first = layout.setdefault(root, {})
        kind = _kind(first, [values for _, values, _ in members])
        span = first.get("range") or _span(kind, first, root[0], members)
        if first.get("autorange") == "reversed" and "range" not in first:
            span = [span[1], span[0]]
        for axis in {name for name, _, _ in members}:
            layout[axis] |= {"type": kind, "range": layout[axis].get("range") or span}
            if kind == "category" and "categoryarray" not in layout[axis]:
                names = [name_of(value) for _, values, _ in members for value in values.ravel()]
                layout[axis]["categoryarray"] = list(dict.fromkeys(names))


def _values_on(trace: dict, letter: str) -> np.ndarray | None:
    """A trace's values along an axis; those that plotly counts by itself are counted here."""
    if letter in trace:
        return as_numbers(trace[letter])
    if trace.get("type") == "heatmap" and "z" in trace:
        return np.arange(np.shape(trace["z"])[1 if letter == "x" else 0])
    other = trace.get("y" if letter == "x" else "x")
    return None if other is None else np.arange(len(other))


def name_of(value: Any) -> str:
    """A category's name, as scripts write it: whole numbers without a point."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _kind(axis: dict, values: list[np.ndarray]) -> str:
    if axis.get("type", "-") != "-":
        return axis["type"]
    return "linear" if all(part.dtype.kind in "biuf" for part in values) else "category"


def _span(kind: str, axis: dict, letter: str, members: list[tuple[str, np.ndarray, dict]]) -> list[float]:
    if kind == "category":
        names = axis.get("categoryarray") or dict.fromkeys(
            name_of(v) for _, values, _ in members for v in values.ravel()
        )
        return [-0.5, len(names) - 0.5]
    ends, is_exact, is_zero = [], True, False
    for _, values, trace in members:
        numbers = values.astype(float).ravel()
        numbers = np.log10(numbers[numbers > 0]) if kind == "log" else numbers
        numbers = numbers[np.isfinite(numbers)]
        length = "x" if trace.get("orientation") == "h" else "y"
        if trace.get("type") == "heatmap":
            numbers = edges(numbers)
        elif trace.get("type") == "bar" and letter != length:
            numbers = np.concatenate([numbers - 0.5, numbers + 0.5])
        else:
            is_line = trace.get("type", "scatter") == "scatter" and "marker" not in trace
            is_exact &= is_line and letter == "x" and trace.get("mode", "lines") == "lines"
            is_zero |= trace.get("type") == "bar"
        ends += [numbers.min(), numbers.max()] if len(numbers) else []
    lo, hi = (min(ends), max(ends)) if ends else (0.0, 1.0)
    lo, hi = (min(lo, 0.0), max(hi, 0.0)) if is_zero and kind != "log" else (lo, hi)
    margin = 0.0 if is_exact and hi > lo else MARGIN * (hi - lo) or 0.5
    return [lo if is_zero and lo == 0 else lo - margin, hi if is_zero and hi == 0 else hi + margin]


def edges(centres: np.ndarray) -> np.ndarray:
    """Edges of an image's cells: midway between centres, and as far beyond the outer ones; halves for a single one."""
    if len(centres) < 2:
        return np.array([centre + side for centre in centres for side in (-0.5, 0.5)])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
