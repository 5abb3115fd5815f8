"""A figure as a small picture in SVG for readers without scripts: marks, frames and titles, without tick marks."""

import base64
import re
import struct
import zlib
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
from plotly.colors import hex_to_rgb, unlabel_rgb

from .blocks import Figure
from .drawn import prepared
from .painted import name_of

WIDTH = 360
EDGE = 22
"""Pixels round a box for its title and the ends of its axes."""


def still(figure: Figure) -> str:
    """SVG of the figure at its last step; "" for a figure outside the painters' subset of plotly."""
    data, layout, beyond = prepared(figure.fig, figure.tracks)
    if beyond is not None:
        return ""
    boxes = _boxes(data, layout)
    height = round(WIDTH * max(1, len({box[1] for box in boxes.values()})) * (0.8 if len(boxes) == 1 else 0.55))
    parts = [_box(key, box, height, data, layout) for key, box in boxes.items()]
    head = f'<svg class="still" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(figure.alt)}">'
    return head + "".join(parts) + "</svg>"


def _boxes(data: list[dict], layout: dict) -> dict[tuple[str, str], tuple[float, float, float, float]]:
    """Boxes by their axes: left, top, width and height, as shares of the picture."""
    boxes = {}
    for trace in data:
        x, y = trace.get("xaxis", "x"), trace.get("yaxis", "y")
        left, right = layout.get(f"xaxis{x[1:]}", {}).get("domain", (0, 1))
        low, high = layout.get(f"yaxis{y[1:]}", {}).get("domain", (0, 1))
        boxes[x, y] = (left, 1 - high, right - left, high - low)
    return boxes


def _box(
    key: tuple[str, str], box: tuple[float, float, float, float], height: int, data: list[dict], layout: dict
) -> str:
    x_axis, y_axis = layout[f"xaxis{key[0][1:]}"], layout[f"yaxis{key[1][1:]}"]
    left, top = box[0] * WIDTH + EDGE, box[1] * height + EDGE
    width, tall = box[2] * WIDTH - 2 * EDGE, box[3] * height - 2 * EDGE
    if y_axis.get("scaleanchor") or x_axis.get("scaleanchor"):
        side = min(width, tall)
        left, width, tall = left + (width - side) / 2, side, side
    frame = f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}"/>'
    words = "".join(
        f'<text x="{left + width / 2:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'
        for text, y in ((_title(x_axis), top + tall + 14), (_title(y_axis), top - 8))
        if text
    )
    marks = ""
    for trace in data:
        if (trace.get("xaxis", "x"), trace.get("yaxis", "y")) == key and trace.get("visible", True) is True:
            marks += _marks(trace, x_axis, y_axis, (left, top, width, tall))
    return f"{marks}<g>{frame}{words}</g>"


def _title(axis: dict) -> str:
    return (axis.get("title") or {}).get("text") or ""


def _marks(trace: dict, x_axis: dict, y_axis: dict, place: tuple[float, float, float, float]) -> str:
    left, top, width, tall = place
    if trace["type"] == "heatmap":
        at = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall:.1f}"'
        return f'<image {at} preserveAspectRatio="none" href="{_png(trace, y_axis)}"/>'
    n = max(np.size(trace.get("x", ())), np.size(trace.get("y", ())))
    xs = left + width * _along(x_axis, trace.get("x", np.arange(n)))
    ys = top + tall * (1 - _along(y_axis, trace.get("y", np.arange(n))))
    there = np.isfinite(xs) & np.isfinite(ys)
    if trace["type"] == "bar":
        is_flat = trace.get("orientation") == "h"
        zero = _zero(x_axis if is_flat else y_axis)
        start = f"M{left + width * zero:.1f} %.1fH%.1f" if is_flat else f"M%.1f {top + tall * (1 - zero):.1f}V%.1f"
        ends = zip(ys, xs, strict=True) if is_flat else zip(xs, ys, strict=True)
        return "".join(
            f'<path d="{start % end}" stroke="{_colour(trace, i)}" stroke-width="2"/>'
            for i, end in enumerate(ends)
            if there[i]
        )
    drawn = ""
    if "lines" in trace.get("mode", "lines") and "fill" not in trace:
        line = trace.get("line") or {}
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs[there], ys[there], strict=True))
        drawn += f'<polyline points="{points}" stroke="{escape(str(line.get("color", "gray")))}"/>'
    if "markers" in trace.get("mode", "lines"):
        for i in np.flatnonzero(there):
            drawn += f'<circle cx="{xs[i]:.1f}" cy="{ys[i]:.1f}" r="2" fill="{_colour(trace, int(i))}"/>'
    return drawn


def _zero(axis: dict) -> float:
    """The place along an axis at which bars begin."""
    return 0.0 if axis["type"] == "log" else float(np.clip(_along({**axis, "type": "linear"}, np.zeros(1))[0], 0, 1))


def _along(axis: dict, values: Any) -> np.ndarray:
    """Places of values along an axis, from 0 to 1."""
    lo, hi = axis["range"]
    if axis["type"] == "category":
        order = {str(name): i for i, name in enumerate(axis["categoryarray"])}
        values = [order.get(name_of(value), np.nan) for value in np.asarray(values).tolist()]
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.asarray(values, float)
        numbers = np.log10(numbers) if axis["type"] == "log" else numbers
    return (numbers - lo) / ((hi - lo) or 1.0)


def _colour(trace: dict, i: int) -> str:
    marker = trace.get("marker") or {}
    colour = marker.get("color", "gray")
    if isinstance(colour, str):
        return escape(colour)
    if isinstance(colour[0], str):
        return escape(colour[i])
    values = np.asarray(colour, float)
    lo, hi = marker.get("cmin", _end(values, np.min)), marker.get("cmax", _end(values, np.max))
    share = float(np.clip((values[i] - lo) / ((hi - lo) or 1.0), 0, 1))
    return (
        "gray" if not np.isfinite(values[i]) else "rgb({:.0f},{:.0f},{:.0f})".format(*_sampled(marker, np.array(share)))
    )


def _sampled(node: dict, shares: np.ndarray) -> np.ndarray:
    """Colours [..., 3] of a colour scale, from 0 to 255, at shares of it."""
    stops = [float(stop) for stop, _ in node["colorscale"]]
    colours = [_rgb(str(colour)) for _, colour in node["colorscale"]]
    return np.stack([np.interp(shares, stops, channel) for channel in np.asarray(colours, float).T], axis=-1)


def _rgb(colour: str) -> tuple[float, ...]:
    """Red, green and blue, from 0 to 255, of #rrggbb or rgb(...); grey of anything else."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        return hex_to_rgb(colour)
    return unlabel_rgb(colour)[:3] if re.match(r"rgba?\(", colour) else (128, 128, 128)


def _png(trace: dict, y_axis: dict) -> str:
    """A heatmap as the address of a PNG with one pixel a cell, transparent where a value is absent."""
    z = np.asarray(trace["z"], float)
    lo, hi = trace.get("zmin", _end(z, np.min)), trace.get("zmax", _end(z, np.max))
    shares = np.clip(np.nan_to_num((z - lo) / ((hi - lo) or 1.0)), 0, 1)
    there = 255 * np.isfinite(z)[..., None]
    pixels = np.concatenate([_sampled(trace, shares), there], axis=-1).astype(np.uint8)
    if y_axis["range"][0] < y_axis["range"][1]:
        pixels = pixels[::-1]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    size = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", size), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _end(values: np.ndarray, which: Callable[[np.ndarray], Any]) -> float:
    """The smallest or largest of the values that are numbers; 0 where none is."""
    numbers = values[np.isfinite(values)]
    return float(which(numbers)) if len(numbers) else 0.0
