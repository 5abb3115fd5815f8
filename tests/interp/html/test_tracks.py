"""Tracks, and the ranges of axes and colours, which are those of all steps."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from interp.html.tracks import Track, fixed


def framed(layout: dict, *traces: Any, **tracks) -> tuple[list[dict], dict]:
    """Plotly's data and layout of a figure whose trace 0 has these tracks ("_" stands for ".")."""
    made = tuple(Track(0, attr.replace("_", "."), np.asarray(v, float)) for attr, v in tracks.items())
    return fixed(go.Figure(list(traces), layout), made)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1 + 2j]), "dtype complex128"),
        (np.array([["a", None]], dtype=object), "dtype object"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.array(1.0), r"shape \(\)"),
        (np.zeros((2, 2, 2, 2)), r"shape \(2, 2, 2, 2\)"),
    ],
)
def test_tracks_refuse_what_they_cannot_carry(values, message):
    with pytest.raises(ValueError, match=message):
        Track(0, "y", values)


SCATTER = go.Scatter(x=[1, 2], y=[3.0, 4.0])
STILL = go.Scatter(x=[1, 2], y=[-10.0, 4.0])
BARS = go.Bar(x=[1, 2], y=[3.0, 4.0])
Y = [[0.5, 1.0], [3.0, 4.5]]


@pytest.mark.parametrize(
    ("layout", "traces", "expected"),
    [
        ({}, [SCATTER], [0.3, 4.7]),
        ({}, [SCATTER, STILL], [-10.725, 5.225]),
        ({"yaxis": {"autorange": "reversed"}}, [SCATTER], [4.7, 0.3]),
        ({"yaxis": {"range": [0, 9]}}, [SCATTER], [0, 9]),
        ({"yaxis": {"autorange": True}}, [SCATTER], None),
        ({"yaxis": {"type": "category"}}, [SCATTER], None),
        ({}, [BARS], [0.0, 4.725]),
        ({"barmode": "stack"}, [BARS], None),
        ({}, [SCATTER, go.Scatter(x=[1], y=["a name"])], None),
    ],
)
def test_the_axis_spans_all_steps_and_traces(layout, traces, expected):
    _, sent = framed(layout, *traces, y=Y)
    assert sent["yaxis"].get("range") == (expected and pytest.approx(expected))
    assert "range" not in sent["xaxis"], "control: an axis without a track is left as it is"


def test_a_log_axis_spans_decades_and_leaves_out_what_it_cannot_show():
    _, sent = framed({"yaxis": {"type": "log"}}, SCATTER, y=[[0.0, 1e-2], [np.nan, 100.0]])
    assert sent["yaxis"]["range"] == pytest.approx([-2.2, 2.2])


def test_matching_axes_share_one_range_and_scenes_have_their_own():
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True)
    fig.add_trace(SCATTER, 1, 1).add_trace(STILL, 1, 2)
    _, layout = fixed(fig, (Track(0, "y", np.array(Y)),))
    assert layout["yaxis"]["range"] == layout["yaxis2"]["range"] == pytest.approx([-10.725, 5.225])
    cloud = go.Scatter3d(x=[0, 1], y=[0, 1], z=[0, 1])
    assert framed({}, cloud, z=Y)[1]["scene"]["zaxis"]["range"] == pytest.approx([0.3, 4.7])


def test_colours_span_all_steps():
    z = [[[0.0, 1.0]], [[-2.0, 3.0]]]
    heat = framed({}, go.Heatmap(z=z[1]), z=z)[0][0]
    assert (heat["zmin"], heat["zmax"]) == (-2, 3)
    centred = framed({}, go.Heatmap(z=z[1], zmid=0), z=z)[0][0]
    assert (centred["zmin"], centred["zmax"]) == (-3, 3)
    given = framed({}, go.Heatmap(z=z[1], zmin=-9), z=z)[0][0]
    assert (given["zmin"], given["zmax"]) == (-9, 3)
    points = framed({}, go.Scatter(y=[1, 2], marker={"color": [1, 2]}), marker_color=Y)[0][0]["marker"]
    assert (points["cmin"], points["cmax"]) == (0.5, 4.5)
    shared = [go.Heatmap(z=z[1], coloraxis="coloraxis"), go.Heatmap(z=[[8.0]], coloraxis="coloraxis")]
    _, layout = framed({}, *shared, z=z)
    assert (layout["coloraxis"]["cmin"], layout["coloraxis"]["cmax"]) == (-2, 8)
    assert "zmin" not in fixed(go.Figure(go.Heatmap(z=z[1])), ())[0][0], "control: no track, no limits"
