"""What the page's painters can draw: a subset of plotly, and the ranges of all axes.

A figure outside the subset is drawn by plotly itself, so nothing that a figure says is left out silently.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .tracks import MARGIN

ANY: dict[str, Any] = {"*": None}
_TEXT: Any = None  # any value
_COLOUR_BAR = {"title": ANY, "thickness": _TEXT, "x": _TEXT, "tickvals": _TEXT, "ticktext": _TEXT, "len": _TEXT}
_COMMON = dict.fromkeys(
    ("x", "y", "name", "hovertemplate", "hoverinfo", "legendgroup", "xaxis", "yaxis", "text", "customdata", "opacity")
) | {"visible": {True, "legendonly"}, "showlegend": {True, False}}
_SYMBOLS = {"circle", "circle-open", "diamond", "square-open", "triangle-up-open", "x-thin-open", "x", "cross"}
TRACES: dict[str, dict[str, Any]] = {
    "scatter": _COMMON
    | {
        "mode": {"lines", "markers", "lines+markers"},
        "line": {"color": _TEXT, "dash": {"solid", "dash", "dot", "dashdot"}, "width": _TEXT},
        "marker": dict.fromkeys(("color", "colorscale", "cmin", "cmax", "cmid", "size", "opacity"))
        | {"symbol": _SYMBOLS, "line": ANY},
        "fill": {"toself"},
        "fillcolor": _TEXT,
        "error_y": {"array": _TEXT, "thickness": _TEXT, "width": _TEXT},
    },
    "bar": _COMMON | {"marker": {"color": _TEXT}, "orientation": {"v", "h"}},
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
    for key, value in layout.items():
        if key.startswith(("xaxis", "yaxis")):
            yield from _beyond(value, _AXIS, f"{key}.")
        elif key == "annotations":
            for note in value:
                yield from _beyond(note, _NOTE, "annotation.")
        elif key == "shapes":
            for shape in value:
                yield from _beyond(shape, _LEVEL, "shape.")
                if "domain" not in str(shape.get("xref")) and "domain" not in str(shape.get("yref")):
                    yield "shape that is not a line across an axis"
        else:
            yield from _beyond({key: value}, LAYOUT, "layout.")


def _beyond(tree: dict, known: dict[str, Any], where: str) -> Iterator[str]:
    if known is ANY:
        return
    for key, value in tree.items():
        if key not in known:
            yield f"{where}{key}"
        elif isinstance(allowed := known[key], dict):
            yield from _beyond(value, allowed, f"{where}{key}.")
        elif isinstance(allowed, set) and (isinstance(value, dict | list) or value not in allowed):
            yield f"{where}{key} = {value}"


def complete_axes(data: list[dict], layout: dict) -> None:
    """Give every axis with data its type and its range; `data` holds arrays, not plotly's codes of them.

    Axes that match another share its range. Images reach from edge to edge; categories keep plotly's order.
    """
    groups: dict[str, list[tuple[str, np.ndarray, dict]]] = {}
    for trace in data:
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
                names = [str(value) for _, values, _ in members for value in values.ravel()]
                layout[axis]["categoryarray"] = list(dict.fromkeys(names))


def _values_on(trace: dict, letter: str) -> np.ndarray | None:
    """A trace's values along an axis; those that plotly counts by itself are counted here."""
    if letter in trace:
        return np.asarray(trace[letter])
    if trace.get("type") == "heatmap" and "z" in trace:
        return np.arange(np.shape(trace["z"])[1 if letter == "x" else 0])
    other = trace.get("y" if letter == "x" else "x")
    return None if other is None else np.arange(len(other))


def _kind(axis: dict, values: list[np.ndarray]) -> str:
    if axis.get("type", "-") != "-":
        return axis["type"]
    return "linear" if all(part.dtype.kind in "biuf" for part in values) else "category"


def _span(kind: str, axis: dict, letter: str, members: list[tuple[str, np.ndarray, dict]]) -> list[float]:
    if kind == "category":
        names = axis.get("categoryarray") or dict.fromkeys(str(v) for _, values, _ in members for v in values.ravel())
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
            is_exact &= letter == "x" and trace.get("mode", "lines") == "lines" and "marker" not in trace
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
