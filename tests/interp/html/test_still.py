"""Pictures for readers without scripts: marks at the places that a formula gives, for each kind of trace."""

import base64
import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest

from interp.html.blocks import Figure
from interp.html.still import EDGE, WIDTH, still
from tests.minipage import circles, images, lines, loss, rose, spectrum, table

HEIGHT = round(WIDTH * 0.8)
INSIDE = (EDGE, EDGE, WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE)


def picture(fig: go.Figure) -> ElementTree.Element:
    return ElementTree.fromstring(still(Figure(fig, "Heading", "", "", 'An "alt" & more')))


def marks(fig: go.Figure, name: str, attribute: str) -> list[str]:
    return [element.attrib[attribute] for element in picture(fig).iter(name)]


def place(x: float, y: float, across: tuple[float, float], up: tuple[float, float]) -> tuple[float, float]:
    """Pixels of a point in a picture of one box whose axes have these ranges."""
    left, top, width, height = INSIDE
    right = (x - across[0]) / (across[1] - across[0])
    return round(left + width * right, 1), round(top + height * (1 - (y - up[0]) / (up[1] - up[0])), 1)


RANGES = {"xaxis": {"range": [0, 4]}, "yaxis": {"range": [-1, 3]}}


def test_lines_and_points_stand_where_their_axes_say():
    fig = go.Figure(go.Scatter(x=[1, 2, 3], y=[0, np.nan, 2], mode="lines+markers", line={"color": "#123456"}), RANGES)
    want = [place(1, 0, (0, 4), (-1, 3)), place(3, 2, (0, 4), (-1, 3))]
    assert marks(fig, "polyline", "points") == [" ".join(f"{x},{y}" for x, y in want)]
    assert marks(fig, "polyline", "stroke") == ["#123456"]
    assert list(zip(marks(fig, "circle", "cx"), marks(fig, "circle", "cy"), strict=True)) == [
        (str(x), str(y)) for x, y in want
    ]


def test_log_axes_stand_by_powers_of_ten():
    fig = go.Figure(
        go.Scatter(x=[1, 2], y=[0.0, 1e-2]), {"xaxis": {"range": [0, 4]}, "yaxis": {"type": "log", "range": [-4, 0]}}
    )
    x, y = place(2, -2, (0, 4), (-4, 0))
    assert marks(fig, "polyline", "points") == [f"{x},{y}"], "a zero has no place"


def test_bars_stand_up_or_lie():
    up = go.Figure(go.Bar(x=[1, 2], y=[3, -1], marker_color=["red", "blue"]), RANGES)
    (x1, y1), (x2, y2) = place(1, 3, (0, 4), (-1, 3)), place(2, -1, (0, 4), (-1, 3))
    zero = place(0, 0, (0, 4), (-1, 3))[1]
    assert marks(up, "path", "d") == [f"M{x1} {zero}V{y1}", f"M{x2} {zero}V{y2}"]
    assert marks(up, "path", "stroke") == ["red", "blue"]
    flat = go.Figure(go.Bar(y=[1, 2], x=[3, np.nan], orientation="h", marker_color="green"), RANGES)
    x, y = place(3, 1, (0, 4), (-1, 3))
    assert marks(flat, "path", "d") == [f"M{float(EDGE)} {y}H{x}"]


def pixels(address: str) -> np.ndarray:
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT") + 4
    rows = zlib.decompress(data[start : start + int.from_bytes(data[start - 8 : start - 4], "big")])
    return np.frombuffer(rows, np.uint8).reshape(height, 1 + 4 * width)[:, 1:].reshape(height, width, 4)


@pytest.mark.parametrize("is_reversed", [True, False])
def test_images_have_one_pixel_a_cell_the_first_row_where_the_axis_has_it(is_reversed):
    z, scale = [[0.0, 1.0], [2.0, np.nan]], [[0, "#000000"], [0.5, "rgb(0, 128, 0)"], [1, "#0000ff"]]
    layout = {"yaxis": {"autorange": "reversed"}} if is_reversed else {}
    href = "{http://www.w3.org/1999/xlink}href"
    (image,) = picture(go.Figure(go.Heatmap(z=z, zmin=0, zmax=2, colorscale=scale), layout)).iter("image")
    want = np.array([[[0, 0, 0, 255], [0, 128, 0, 255]], [[0, 0, 255, 255], [0, 0, 0, 0]]])
    np.testing.assert_array_equal(
        pixels(image.attrib.get("href", image.attrib.get(href, ""))), want if is_reversed else want[::-1]
    )


def test_colours_of_points_follow_their_scale_and_named_ones_are_names():
    scale = [[0, "#000000"], [1, "#ff0000"]]
    numbers = go.Scatter(y=[1, 2, 3], mode="markers", marker={"color": [0, 5, 10], "colorscale": scale})
    assert marks(go.Figure(numbers), "circle", "fill") == ["rgb(0,0,0)", "rgb(128,0,0)", "rgb(255,0,0)"]
    words = go.Scatter(y=[1, 2], mode="markers", marker={"color": ["red", "#123456"]})
    assert marks(go.Figure(words), "circle", "fill") == ["red", "#123456"]
    odd = go.Scatter(
        y=[1, 2], mode="markers", marker={"color": [0, 1], "colorscale": [[0, "red"], [1, "rgb(1, 2, 3)"]]}
    )
    assert marks(go.Figure(odd), "circle", "fill") == ["rgb(128,128,128)", "rgb(1,2,3)"]


@pytest.mark.parametrize("made", [loss, table, circles, spectrum, images, lines])
def test_every_figure_of_the_subset_has_a_picture_with_its_words(made):
    drawn = ElementTree.fromstring(still(made()))
    assert drawn.attrib["aria-label"].startswith("A drawing of the ")
    boxes = len(list(drawn.iter("rect")))
    assert boxes == {"circles": 3, "spectrum": 2, "images": 4}.get(made.__name__, 1)
    assert not re.search(r"nan|inf", still(made()))


def test_what_only_plotly_draws_has_no_picture():
    assert still(rose()) == ""
    assert picture(go.Figure(go.Scatter(y=[1]))).attrib["aria-label"] == 'An "alt" & more'


def test_values_that_are_all_absent_are_drawn_absent():
    empty = np.full((2, 2), np.nan)
    drawn = still(Figure(go.Figure(go.Heatmap(z=empty, colorscale="Viridis")), "Heading", "", "", ""))
    assert "<image" in drawn
    marker = {"color": [np.nan, np.inf], "colorscale": "Viridis"}
    assert marks(go.Figure(go.Scatter(y=[1, 2], mode="markers", marker=marker)), "circle", "fill") == ["gray", "gray"]
