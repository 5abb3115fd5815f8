"""Tracks: the values of a plotly figure that change from step to step, and how a page carries them.

Ranges of axes and colours are fixed over all steps, so that values move and axes stand still. Arrays are packed as
base64: whole numbers exactly, others within 1/65534 of their range; `assets/page.js` unpacks them.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

HEIGHT_PX = 420
MARGIN = 0.05  # of the span of the values, added at each end of an axis


@dataclass(frozen=True, eq=False)
class Track:
    """The values [n_steps, ...] of one attribute (`y`, `z`, `marker.color`, `text`) of trace number `trace`.

    Values are numbers or strings. NaN means absent, and so does an infinite number. A coarse track is rounded to 254
    levels of its range, enough for the colours of an image, and takes half the bytes. Raises ValueError for values of
    another dtype, and for shapes other than a scalar, a row or a grid per step.
    """

    trace: int
    attr: str
    values: np.ndarray
    coarse: bool = False

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


def traces(fig: Any) -> list[Any]:
    """The traces of a plotly figure, as a list for the type checker: plotly annotates `data` as a bare tuple."""
    return list(fig.data)


def figure_data(fig: go.Figure, tracks: tuple[Track, ...]) -> dict[str, Any]:
    """Plotly's own data and layout with fixed ranges, and the packed tracks, for the page's script to draw."""
    data, layout = fixed(fig, tracks)
    sent = []
    for track in tracks:
        keys = _axis_keys(traces(fig)[track.trace], track.attr)
        on_log_axis = bool(keys) and _node(layout, keys).get("type") == "log"
        sent.append({"trace": track.trace, "attr": track.attr, **packed(track.values, on_log_axis, track.coarse)})
        *path, last = track.attr.split(".")
        _node(data[track.trace], tuple(path)).pop(last, None)  # the track says it
    return {"data": _in_float32(data), "layout": layout, "tracks": sent}


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


def _node(tree: dict, keys: tuple[str, ...]) -> dict:
    for key in keys:
        tree = tree.setdefault(key, {})
    return tree


def _axis_keys(trace: Any, attr: str) -> tuple[str, ...]:
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
            keys = _axis_keys(trace, attr)
            values = numbers.get((i, attr), trace[attr] if keys else None)
            if not keys or values is None:
                continue
            node = _node(layout, keys)
            other = node.get("matches")
            axis = axes.setdefault((f"{other[0]}axis{other[1:]}",) if other else keys, _Shared())
            axis.nodes.append(node)
            axis.values.append(np.asarray(values))
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


def packed(values: np.ndarray, on_log_axis: bool, coarse: bool = False) -> dict[str, Any]:
    """Values as {dtype, shape, b64}, with `lo` and `hi` (numbers) or `words` (strings) for decoding the codes.

    A grid has 254 steps (u1) or 65534 (u2), and one more code for absent: whole numbers that fit are exact,
    others within half a step. On a log axis, where small values matter as much as great ones, float32 (f4).
    """
    if values.dtype.kind == "U":
        words, codes = np.unique(values, return_inverse=True)
        dtype = "<u2" if len(words) <= 65536 else "<u4"
        return _base64(dtype, codes.reshape(values.shape)) | {"words": words.tolist()}
    values = values.astype(float)
    if on_log_axis:
        return _base64("<f4", values)
    there = np.isfinite(values)
    lo, hi = (float(values[there].min()), float(values[there].max())) if there.any() else (0.0, 0.0)
    is_whole = bool(np.all(values[there] == np.rint(values[there])))
    dtype, top = ("<u1", 254) if coarse or (is_whole and hi - lo <= 254) else ("<u2", 65534)
    if is_whole and hi - lo <= top:
        hi = lo + top
    codes = np.full(values.shape, top + 1)
    codes[there] = np.rint((values[there] - lo) / ((hi - lo) or 1.0) * top)
    return _base64(dtype, codes) | {"lo": lo, "hi": hi}


def in_full(values: np.ndarray) -> dict[str, Any]:
    """Values as float32, for scripts that compute with them."""
    return _base64("<f4", values)


def _base64(dtype: str, values: np.ndarray) -> dict[str, Any]:
    b64 = base64.b64encode(values.astype(dtype).tobytes()).decode()
    return {"dtype": dtype[1:], "shape": values.shape, "b64": b64}


def _in_float32(node: Any) -> Any:
    """Plotly's JSON with float64 arrays converted to float32."""
    if isinstance(node, list):
        return [_in_float32(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("dtype") == "f8" and "bdata" in node:
        values = np.frombuffer(base64.b64decode(node["bdata"]), "<f8")
        return node | {"dtype": "f4", "bdata": _base64("<f4", values)["b64"]}
    return {key: _in_float32(value) for key, value in node.items()}
