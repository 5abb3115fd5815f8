"""A figure as the page's script gets it: plotly's own data and layout, with arrays in the section's payload."""

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go

from .packing import Payload, in_full, packed
from .painted import complete_axes, complete_colours, unknown
from .tracks import Track, axis_keys, fixed, subtree, traces

SHORT = 8
"""Length up to which an array of numbers stays a list in the JSON."""


def figure_data(fig: go.Figure, tracks: tuple[Track, ...], payload: Payload) -> dict[str, Any]:
    """Plotly's data and layout with fixed ranges, the tracks, and what the painters do not know, or None.

    A tracked attribute is left out of the data: the track says it.
    """
    data, layout, beyond = prepared(fig, tracks)
    sent = []
    for track in tracks:
        keys = axis_keys(traces(fig)[track.trace], track.attr)
        on_log_axis = bool(keys) and subtree(layout, keys).get("type") == "log"
        array = payload.add_once(packed(track.values, on_log_axis, track.coarse))
        sent.append({"trace": track.trace, "attr": track.attr, "values": array, "cursor": track.is_cursor})
        *path, last = track.attr.split(".")
        subtree(data[track.trace], tuple(path)).pop(last, None)
    return {"data": [_stored(trace, payload) for trace in data], "layout": layout, "tracks": sent, "plotly": beyond}


def prepared(fig: go.Figure, tracks: tuple[Track, ...]) -> tuple[list[dict], dict, str | None]:
    """Plotly's data with numpy arrays, its layout, and the first thing that the painters do not know.

    Where that is None, axes and colours are complete, as painters need them.
    """
    data, layout = fixed(fig, tracks)
    data = [with_arrays(trace) for trace in data]
    beyond = unknown(data, layout)
    if beyond is None:
        complete_axes(data, layout)
        complete_colours(data, layout)
    return data, layout, beyond


def with_arrays(tree: Any) -> Any:
    """Plotly JSON with numpy arrays in place of plotly's codes of arrays."""
    if isinstance(tree, list | tuple):
        return [with_arrays(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "bdata" in tree:
        values = np.frombuffer(base64.b64decode(tree["bdata"]), np.dtype(tree["dtype"]))
        shape = tree.get("shape")
        return values if shape is None else values.reshape([int(n) for n in str(shape).split(",")])
    return {key: with_arrays(value) for key, value in tree.items()}


def _stored(tree: Any, payload: Payload, key: str = "") -> Any:
    """JSON in which arrays of more than ``SHORT`` numbers are references into the payload."""
    if isinstance(tree, dict):
        return {name: _stored(value, payload, name) for name, value in tree.items()}
    if not isinstance(tree, list | np.ndarray):
        return tree
    array = np.asarray(tree) if isinstance(tree, np.ndarray) or _is_numbers(tree) else None
    if array is None:
        return [_stored(item, payload) for item in tree]
    if array.size <= SHORT and array.ndim == 1:
        return [None if value != value else value for value in array.tolist()]
    if array.dtype.kind == "O":
        return array.tolist()
    return payload.add(packed(array, False) if key == "z" else in_full(array.astype(float)))


def _is_numbers(values: list) -> bool:
    return len(values) > SHORT and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
