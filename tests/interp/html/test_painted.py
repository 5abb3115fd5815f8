"""What the painters draw, and that anything else is left to plotly: nothing of a figure is dropped silently."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from interp.html.drawn import figure_data, with_arrays
from interp.html.packing import Payload
from interp.html.painted import LAYOUT, TRACES, complete_axes, complete_colours, edges, unknown
from interp.html.render import ASSETS, SCRIPTS
from interp.html.tracks import Track, fixed
from tests.minipage import circles, images, lines, loss, rose, spectrum, table

KINDS = {"scatter": go.Scatter, "bar": go.Bar, "heatmap": go.Heatmap}
AXIS_KNOWN = (
    "anchor domain range dtick tickformat tickvals ticktext categoryarray matches scaleanchor constrain showticklabels "
    "zeroline automargin title showgrid type autorange exponentformat categoryorder"
).split()
MARKER_KNOWN = "color colorscale cmin cmax cmid size opacity symbol line".split()
WITHOUT_A_READER = {
    "anchor", "dtick", "constrain", "zeroline", "automargin", "showgrid", "exponentformat", "categoryorder", "matches",
    "autorange", "cmid", "zmid", "thickness", "len", "width", "font", "legend", "margin", "barmode", "colorbar.x",
}  # fmt: skip
"""Known attributes that no script reads: looks alone, or turned into ranges in Python."""


def spec(fig: go.Figure, *tracks: Track) -> tuple[list[dict], dict]:
    data, layout = fixed(fig, tracks)
    return [with_arrays(trace) for trace in data], layout


def beyond(*traces: Any, **layout: Any) -> str | None:
    return unknown(*spec(go.Figure(list(traces), layout)))


LINE = go.Scatter(y=[1.0, 2.0])


# --- what is not known ----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [loss, table, circles, spectrum, images, lines])
def test_figures_of_the_subset_are_known(made):
    figure = made()
    assert unknown(*spec(figure.fig, *figure.tracks)) is None
    assert unknown(*spec(rose().fig)) == "trace 0 is a scatterpolar", "control"


@pytest.mark.parametrize("kind", KINDS)
def test_every_other_attribute_of_a_trace_is_reported(kind):
    """All that plotly's own class of the trace takes, one after the other."""
    trace: Any = KINDS[kind]()
    names = set(trace._valid_props) - {"type"}
    assert len(names) > 60 and set(TRACES[kind]) <= names
    whole = {"colorscale": "x"} if kind == "heatmap" else {}
    for name in sorted(names - set(TRACES[kind])):
        assert unknown([{"type": kind, **whole, name: "x"}], {}) == f"{kind}.{name}"
    assert unknown([{"type": kind, **whole, "xaxis": "x2"}], {}) is None, "control"


@pytest.mark.parametrize(
    ("made", "where", "known"),
    [
        (go.layout.XAxis, "xaxis2", AXIS_KNOWN),
        (go.layout.YAxis, "yaxis", AXIS_KNOWN),
        (go.scatter.Marker, "marker", MARKER_KNOWN),
        (go.scatter.Line, "line", ["color", "dash", "width"]),
        (go.bar.Marker, "marker", ["color"]),
        (go.heatmap.ColorBar, "colorbar", ["title", "thickness", "x", "tickvals", "ticktext", "len"]),
        (go.scatter.ErrorY, "error_y", ["array", "thickness", "width"]),
    ],
)
def test_every_other_attribute_of_a_part_is_reported(made, where, known):
    names = set(made()._valid_props)
    assert set(known) < names
    kind = made.__module__.split(".")[2]
    for name in sorted(names - set(known)):
        part = {name: "x"}
        if where[1:].startswith("axis"):
            found, said = unknown([], {where: part}), f"{where}.{name}"
        else:
            found, said = unknown([{"type": kind, "colorscale": "x", where: part}], {}), f"{kind}."
        assert found is not None and said in found


def test_every_other_attribute_of_the_layout_is_reported():
    names = set(go.Layout()._valid_props) - {"xaxis", "yaxis", "annotations", "shapes"} - set(LAYOUT)
    assert len(names) > 60
    for name in sorted(names):
        assert unknown([], {name: "x"}) is not None, name


@pytest.mark.parametrize(
    ("traces", "layout", "message"),
    [
        ([go.Scatter3d(x=[0], y=[0], z=[0])], {}, "trace 0 is a scatter3d"),
        ([LINE, go.Pie(values=[1])], {}, "trace 1 is a pie"),
        ([go.Scatter(y=[1, 2], mode="text", text=["a", "b"])], {}, "scatter.mode = text"),
        ([go.Scatter(y=[1, 2], fill="tozeroy")], {}, "scatter.fill = tozeroy"),
        ([go.Scatter(y=[1, 2], line={"dash": "5px"})], {}, "scatter.line.dash = 5px"),
        ([go.Scatter(y=[1, 2], line={"shape": "hv"})], {}, "scatter.line.shape"),
        ([go.Scatter(y=[1, 2], marker={"symbol": "star"})], {}, "scatter.marker.symbol = star"),
        ([go.Scatter(y=[1, 2], marker={"symbol": np.array([0, 1])})], {}, "scatter.marker.symbol = [0 1]"),
        ([go.Scatter(y=[1, 2], marker={"size": [3, 9]})], {}, "scatter.marker.size is an array"),
        ([go.Scatter(y=[1, 2], marker={"size": np.arange(9)})], {}, "scatter.marker.size is an array"),
        ([go.Scatter(y=[1, 2], marker={"color": [0.5, 1.0]})], {}, "scatter without a colour scale"),
        ([go.Scatter(y=[1, 2], hovertemplate=["a", "b"])], {}, "scatter.hovertemplate is an array"),
        ([go.Scatter(y=[1], hovertemplate="%{customdata[0]}")], {}, "scatter.hovertemplate with customdata[0]"),
        ([go.Heatmap(z=[[1.0]])], {}, "heatmap without a colour scale"),
        ([go.Heatmap(z=[[1.0]], colorscale="Viridis", texttemplate="%{z}")], {}, "heatmap.texttemplate"),
        ([go.Bar(y=[1]), go.Bar(y=[2])], {}, "several bars in one place"),
        ([go.Bar(y=[1], text=["a"])], {}, "bar.text"),
        ([go.Bar(y=[1])], {"barmode": "stack"}, "layout.barmode = stack"),
        ([LINE], {"xaxis": {"type": "date"}}, "xaxis.type = date"),
        ([LINE], {"xaxis": {"range": [None, 3]}}, "xaxis.range with one end"),
        ([LINE], {"yaxis": {"overlaying": "y2"}}, "yaxis.overlaying"),
        ([LINE], {"annotations": [{"text": "a", "x": 1, "y": 1}]}, "annotation that is not a title"),
        ([LINE], {"shapes": [{"type": "rect"}]}, "shape.type = rect"),
        ([LINE], {"shapes": [{"x0": 0, "x1": 1, "xref": "x domain"}]}, "not a line across"),
        ([LINE], {"shapes": [{"type": "line", "x0": 0, "x1": 1, "y0": 0, "y1": 1}]}, "not a line across"),
    ],
)
def test_values_outside_the_subset_are_reported(traces, layout, message):
    found = beyond(*traces, **layout)
    assert found is not None and message in found


@pytest.mark.parametrize("colours", [["red", "blue"], np.array(["red", "blue"]), np.array(["red", "blue"], object)])
def test_colours_may_be_named_one_by_one(colours):
    assert beyond(go.Bar(y=[1, 2], marker_color=colours)) is None
    assert beyond(go.Bar(y=[1, 2], marker_color=np.array([0.5, 1.0], object))) == "bar without a colour scale", (
        "control"
    )


def test_a_line_across_is_known_and_what_plotly_draws_is_sent_as_it_is():
    fig = go.Figure(LINE).add_hline(3.0)
    assert unknown(*spec(fig)) is None
    fig.add_shape(type="circle", x0=0, x1=1, y0=0, y1=1)
    sent = figure_data(fig, (), Payload())
    assert sent["plotly"] == "shape.type = circle" and "range" not in sent["layout"].get("xaxis", {})


def test_every_known_attribute_has_a_reader_in_the_scripts():
    """An attribute that is known but that no script reads would be dropped."""
    scripts = "".join((ASSETS / f"{name}.js").read_text() for name in SCRIPTS)
    leaves = {key for known in TRACES.values() for key in known} | {*AXIS_KNOWN, *MARKER_KNOWN, *LAYOUT}
    unread = {name for name in leaves if name not in scripts}
    assert unread <= WITHOUT_A_READER
    assert "dtick" in unread and "hovertemplate" not in unread, "control"


# --- axes and colours -----------------------------------------------------------------------------------


def axes(*traces: Any, **layout: Any) -> dict:
    data, made = spec(go.Figure(list(traces), layout))
    complete_axes(data, made)
    return made


@pytest.mark.parametrize(
    ("traces", "layout", "x", "y"),
    [
        ([go.Scatter(x=[1, 3], y=[10, 20], mode="markers")], {}, [0.9, 3.1], [9.5, 20.5]),
        ([go.Scatter(x=[1, 3], y=[10, 20], mode="lines")], {}, [1, 3], [9.5, 20.5]),
        ([go.Scatter(x=[1, 3], y=[10, None], mode="lines")], {}, [1, 3], [9.5, 10.5]),
        ([go.Scatter(y=np.arange(20))], {}, [0, 19], [-0.95, 19.95]),
        ([go.Scatter(y=np.arange(19))], {}, [-0.9, 18.9], [-0.9, 18.9]),
        ([go.Scatter(y=[np.nan, np.inf])], {}, [-0.05, 1.05], [-0.05, 1.05]),
        ([go.Bar(x=[1, 2], y=[3, 4])], {}, [0.5, 2.5], [0, 4.2]),
        ([go.Bar(y=[1, 2], x=[3, 4], orientation="h")], {}, [0, 4.2], [0.5, 2.5]),
        ([go.Heatmap(z=[[1, 2, 3]])], {}, [-0.5, 2.5], [-0.5, 0.5]),
        ([go.Heatmap(z=[[1, 2]], x=[1, 2])], {"yaxis": {"autorange": "reversed"}}, [0.5, 2.5], [0.5, -0.5]),
        ([go.Scatter(x=[1, 100], y=[0, 1], mode="lines")], {"xaxis": {"type": "log"}}, [0, 2], [-0.05, 1.05]),
        ([go.Scatter(x=["u", "v"], y=[0, 1])], {}, [-0.5, 1.5], [-0.05, 1.05]),
        ([LINE], {"xaxis": {"range": [5, 6]}}, [5, 6], [0.95, 2.05]),
    ],
)
def test_axes_get_the_ranges_of_what_is_drawn(traces, layout, x, y):
    made = axes(*traces, **layout)
    assert made["xaxis"]["range"] == pytest.approx(x)
    if y is not None:
        assert made["yaxis"]["range"] == pytest.approx(y)


def test_numbers_with_a_gap_stay_numbers_and_names_are_those_of_the_data():
    assert axes(go.Scatter(y=[1.5, None]))["yaxis"]["type"] == "linear"
    made = axes(go.Bar(x=["b", "a", "b"], y=[1, 2, 3]))
    assert (made["xaxis"]["type"], made["xaxis"]["categoryarray"]) == ("category", ["b", "a"])
    numbered = axes(go.Bar(x=[113.0, 59.0], y=[1, 2]), xaxis={"type": "category"})
    assert numbered["xaxis"]["categoryarray"] == ["113", "59"]


def test_colours_are_plotly_s_own_where_a_figure_names_none():
    traces = [
        go.Scatter(y=[1]),
        go.Scatter(y=[2], marker={"color": "red"}),
        go.Bar(y=[3]),
        go.Scatter(y=[1], line_color="blue"),
    ]
    data, layout = spec(go.Figure(traces, {"template": {"layout": {"colorway": ["#111111", "#222222", "#333333"]}}}))
    complete_colours(data, layout)
    assert [data[0]["line"]["color"], data[1]["line"]["color"], data[2]["marker"]["color"]] == [
        "#111111",
        "red",
        "#333333",
    ]
    assert data[3]["line"]["color"] == "blue"


def test_scales_around_a_middle_reach_as_far_to_both_sides():
    points = go.Scatter(y=[1, 2], marker={"color": [-1.0, 9.0], "cmid": 3, "colorscale": "RdBu"})
    image = go.Heatmap(z=[[-2.0, np.nan, 1.0]], zmid=0, colorscale="RdBu")
    data, layout = spec(go.Figure([image, points, go.Heatmap(z=[[-2.0, 1.0]], colorscale="RdBu")]))
    complete_colours(data, layout)
    assert (data[0]["zmin"], data[0]["zmax"]) == (-2, 2)
    assert (data[1]["marker"]["cmin"], data[1]["marker"]["cmax"]) == (-3, 9)
    assert "zmin" not in data[2], "control: without a middle the data's own ends"


def test_edges_of_an_image_s_cells_are_midway():
    np.testing.assert_array_equal(edges(np.array([1.0, 2.0, 4.0])), [0.5, 1.5, 3.0, 5.0])
    np.testing.assert_array_equal(edges(np.array([3.0])), [2.5, 3.5])
