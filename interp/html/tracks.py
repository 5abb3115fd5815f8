"""Tracks: the values of a plotly figure that change from step to step, and how a page carries them.

Ranges of axes and colours are fixed over all steps, so that values move and axes stand still.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

HEIGHT_PX = 420
MARGIN = 0.05  # of the span of the values, added at each end of an axis


@dataclass(frozen=True, eq=False)
class Track:
    """The values [n_steps, ...] of one attribute (`y`, `z`, `marker.color`, `text`) of trace number `trace`.

    A cursor is a line across an axis of steps that stands at the step shown: readers move it to choose a step. Values
    are numbers or strings. NaN means absent, and so does an infinite number. A coarse track is rounded to 254
    levels of its range, enough for the colours of an image, and takes half the bytes. Raises ValueError for values of
    another dtype, and for shapes other than a scalar, a row or a grid per step.
    """

    trace: int
    attr: str
    values: np.ndarray
    coarse: bool = False
    is_cursor: bool = False

    def __post_init__(self) -> None:
        values = self.values
        if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
            values = values.astype(str)
            object.__setattr__(self, "values", values)
        if values.dtype.kind not in "biufU":
            raise ValueError(f"track {self.attr!r} has dtype {values.dtype}; numbers or strings are allowed")
        if not 1 <= values.ndim <= 3 or 0 in values.shape:
            allowed = "[n_steps], [n_steps, n] or [n_steps, rows, columns], none of them 0"
            raise ValueError(f"track {self.attr!r} has shape {values.shape}; allowed are {allowed}")


def as_numbers(values: Any) -> np.ndarray:
    """Values of an attribute as an array, of numbers if all of them are numbers or None, which is NaN."""
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(isinstance(value, int | float | None) for value in array.flat):
        return array.astype(float)
    return array


def traces(fig: Any) -> list[Any]:
    """The traces of a plotly figure, as a list for the type checker: plotly annotates `data` as a bare tuple."""
    return list(fig.data)


def fixed(fig: go.Figure, tracks: tuple[Track, ...]) -> tuple[list[dict], dict]:
    """Plotly's own data and layout of a figure whose axes and colours span all values of its tracks."""
    spec = fig.to_plotly_json()
    data, layout = spec["data"], spec["layout"]
    numbers = {(t.trace, t.attr): t.values for t in tracks if t.values.dtype.kind != "U"}
    _fix_axes(fig, layout, numbers)
    _fix_colours(fig, data, layout, numbers)
    layout.setdefault("height", HEIGHT_PX)
    return data, layout


def set_frame(fig: go.Figure, tracks: tuple[Track, ...]) -> None:
    """Let a figure's axes and colours span all values of its tracks, as they do in the page."""
    data, layout = fixed(fig, tracks)
    fig.update_layout(layout)
    for trace, node in zip(traces(fig), data, strict=True):
        trace.update({name: node[name] for name in ("zmin", "zmax") if name in node})
        if "marker" in node:
            trace.update(
                {"marker": {name: node["marker"][name] for name in ("cmin", "cmax") if name in node["marker"]}}
            )


@dataclass
class _Shared:
    """An axis or a colour scale with all values drawn on it; `nodes` are its entries in the layout."""

    nodes: list[dict] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    has_track: bool = False
    has_bars: bool = False
    is_free: bool = True

    def span(self, is_log: bool) -> tuple[float, float] | None:
        """The smallest and the largest value, as powers of ten if `is_log`; None where no value is a number."""
        values = np.concatenate([part.astype(float).ravel() for part in self.values])
        if is_log:
            values = np.log10(values[values > 0])
        values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if len(values) else None


def subtree(tree: dict, keys: tuple[str, ...]) -> dict:
    """The dictionary that the keys lead to; those on the way that are not there are added."""
    for key in keys:
        tree = tree.setdefault(key, {})
    return tree


def axis_keys(trace: Any, attr: str) -> tuple[str, ...]:
    """Keys of the layout that lead to the axis of `attr`: ('xaxis2',), ('scene', 'zaxis'); () if `attr` has no axis."""
    if attr in ("x", "y", "z") and "scene" in trace:
        return (trace.scene or "scene", f"{attr}axis")
    if attr in ("x", "y") and f"{attr}axis" in trace:
        return (f"{attr}axis{(trace[f'{attr}axis'] or attr)[1:]}",)
    return ()


def _fix_axes(fig: go.Figure, layout: dict, numbers: dict[tuple[int, str], np.ndarray]) -> None:
    """Let an axis with tracks span all steps of all its traces, unless the figure sets the axis's range.

    Axes that match another are one axis. Stacked bars are left to plotly: their length is a sum over traces.
    """
    axes: dict[tuple[str, ...], _Shared] = {}
    for i, trace in enumerate(traces(fig)):
        for attr in ("x", "y", "z"):
            keys = axis_keys(trace, attr)
            values = numbers.get((i, attr), trace[attr] if keys else None)
            if not keys or values is None:
                continue
            node = subtree(layout, keys)
            other = node.get("matches")
            axis = axes.setdefault((f"{other[0]}axis{other[1:]}",) if other else keys, _Shared())
            axis.nodes.append(node)
            axis.values.append(as_numbers(values))
            axis.has_track |= (i, attr) in numbers
            if trace.type == "bar" and attr == ("x" if trace.orientation == "h" else "y"):
                axis.has_bars = True
                axis.is_free &= layout.get("barmode") not in ("stack", "relative")
    for axis in axes.values():
        if axis.has_track and axis.is_free and all(part.dtype.kind in "biuf" for part in axis.values):
            _set_range(axis)


def _set_range(axis: _Shared) -> None:
    kind = axis.nodes[0].get("type", "linear")
    span = axis.span(kind == "log") if kind in ("-", "linear", "log") else None
    if span is None:
        return
    lo, hi = span
    lo, hi = (min(lo, 0.0), max(hi, 0.0)) if axis.has_bars and kind != "log" else (lo, hi)
    margin = MARGIN * (hi - lo) or 0.5
    lo_end = lo if axis.has_bars and lo == 0 else lo - margin
    hi_end = hi if axis.has_bars and hi == 0 else hi + margin
    for node in axis.nodes:
        if "range" not in node and node.get("autorange") in (None, "reversed"):
            is_reversed = node.get("autorange") == "reversed"
            node.update(range=[hi_end, lo_end] if is_reversed else [lo_end, hi_end], autorange=False)


def _fix_colours(fig: go.Figure, data: list[dict], layout: dict, numbers: dict[tuple[int, str], np.ndarray]) -> None:
    """Let a colour scale with tracks, a trace's own or a colour axis that traces share, span all steps."""
    scales: dict[Any, tuple[str, _Shared]] = {}
    for i, trace in enumerate(traces(fig)):
        for attr, lead in (("z", ""), ("marker.color", "marker.")):
            letter = attr[-1] if not lead else "c"
            values = np.asarray(numbers.get((i, attr), trace[attr] if attr in trace else None))
            if f"{lead}{letter}min" not in trace or values.dtype.kind not in "biuf":
                continue
            shared = trace[f"{lead}coloraxis"]
            _, scale = scales.setdefault(shared or (i, attr), ("c" if shared else letter, _Shared()))
            own = data[i].setdefault("marker", {}) if lead else data[i]
            scale.nodes.append(layout.setdefault(shared, {}) if shared else own)
            scale.values.append(values)
            scale.has_track |= (i, attr) in numbers
    for letter, scale in scales.values():
        span = scale.span(is_log=False)
        if scale.has_track and span is not None:
            node, (lo, hi) = scale.nodes[0], span
            mid = node.get(f"{letter}mid")
            if mid is not None:
                reach = max(hi - mid, mid - lo)
                lo, hi = mid - reach, mid + reach
            node.setdefault(f"{letter}min", lo)
            node.setdefault(f"{letter}max", hi)
