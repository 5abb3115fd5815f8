import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from interp.html.tracks import Track, figure_data, packed


def tracked(layout: dict, *traces: Any, **tracks) -> dict:
    """Layout and data sent for a figure whose trace 0 has these tracks ("_" stands for ".")."""
    made = tuple(Track(0, attr.replace("_", "."), np.asarray(v, float)) for attr, v in tracks.items())
    return figure_data(go.Figure(list(traces), layout), made)


def unpacked(sent: dict) -> np.ndarray:
    """A second implementation, in Python, of the unpacking in the page's script."""
    codes = np.frombuffer(base64.b64decode(sent["b64"]), "<" + sent["dtype"]).reshape(sent["shape"])
    if "words" in sent:
        return np.array([sent["words"][code] for code in codes.ravel()]).reshape(codes.shape)
    if sent["dtype"] == "f4":
        return codes
    top = {"u1": 254, "u2": 65534}[sent["dtype"]]
    values = sent["lo"] + (sent["hi"] - sent["lo"]) * codes.astype(float) / top
    return np.where(codes > top, np.nan, values)


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


# --- packing --------------------------------------------------------------------------------------------


def test_packed_fractions_are_within_one_part_in_65534_of_the_range_and_keep_nan():
    values = np.random.default_rng(0).normal(size=(7, 50)) * 1e-3 + 5
    values[2, 3], values[6] = np.nan, np.nan
    values[0, 0] = np.inf
    sent = packed(values, on_log_axis=False)
    got, finite = unpacked(sent), np.isfinite(values)
    unit = np.ptp(values[finite]) / 65534
    assert sent["dtype"] == "u2"
    np.testing.assert_array_equal(np.isnan(got), ~finite)
    np.testing.assert_allclose(got[finite], values[finite], rtol=0, atol=unit * 0.501)
    assert np.abs(got[finite] - values[finite]).max() > unit * 0.4, "control: the bound is not slack"


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 1, 254], "u1"),
        ([-3, np.nan, 251], "u1"),
        ([0, 255], "u2"),
        ([-10_000, 40_000], "u2"),
        ([7, 7], "u1"),
        ([True, False], "u1"),
        ([0.25, 0.25], "u2"),
        ([np.nan, np.nan], "u1"),
    ],
)
def test_whole_numbers_and_constants_are_packed_exactly(values, dtype):
    sent = packed(np.array([values]), on_log_axis=False)
    assert sent["dtype"] == dtype
    np.testing.assert_array_equal(unpacked(sent), np.array([values], float))


def test_a_log_axis_keeps_small_values():
    values = np.array([[1e-7, 3.3e-5, 10.0, np.nan]])
    eps = float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(unpacked(packed(values, on_log_axis=True)), values, rtol=eps)
    assert not np.allclose(unpacked(packed(values, on_log_axis=False)), values, rtol=0.5, equal_nan=True), "control"
    sent = tracked({"yaxis": {"type": "log"}}, go.Scatter(x=[1, 2], y=[1.0, 2.0]), y=[[1e-7, 1.0], [1.0, 2.0]])
    assert [t["dtype"] for t in sent["tracks"]] == ["f4"]


def test_strings_are_packed_once_each():
    values = np.array([["b", "a", "b"], ["", "a", "<c>"]])
    sent = packed(values, on_log_axis=False)
    assert sorted(sent["words"]) == sorted({"", "a", "b", "<c>"})
    np.testing.assert_array_equal(unpacked(sent), values)


def test_still_arrays_travel_as_float32():
    y = np.random.default_rng(0).normal(size=(4, 50))
    data = figure_data(go.Figure([go.Heatmap(z=y), go.Scatter(x=np.arange(300), y=[1.5, None])]), ())["data"]
    z = np.frombuffer(base64.b64decode(data[0]["z"]["bdata"]), "<f4").reshape(4, 50)
    assert (data[0]["z"]["dtype"], data[0]["z"]["shape"], data[1]["x"]["dtype"]) == ("f4", "4, 50", "i2")
    np.testing.assert_array_equal(z, y.astype(np.float32))


# --- frames that stand still ----------------------------------------------------------------------------

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
    sent = tracked(layout, *traces, y=Y)["layout"]
    assert sent["yaxis"].get("range") == (expected and pytest.approx(expected))
    assert "range" not in sent["xaxis"], "an axis without a track is plotly's"


def test_a_log_axis_spans_decades_and_leaves_out_what_it_cannot_show():
    sent = tracked({"yaxis": {"type": "log"}}, SCATTER, y=[[0.0, 1e-2], [np.nan, 100.0]])["layout"]
    assert sent["yaxis"]["range"] == pytest.approx([-2.2, 2.2])


def test_matching_axes_share_one_range_and_scenes_have_their_own():
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True)
    fig.add_trace(SCATTER, 1, 1).add_trace(STILL, 1, 2)
    layout = figure_data(fig, (Track(0, "y", np.array(Y)),))["layout"]
    assert layout["yaxis"]["range"] == layout["yaxis2"]["range"] == pytest.approx([-10.725, 5.225])
    cloud = go.Scatter3d(x=[0, 1], y=[0, 1], z=[0, 1])
    assert tracked({}, cloud, z=Y)["layout"]["scene"]["zaxis"]["range"] == pytest.approx([0.3, 4.7])


def test_colours_span_all_steps():
    z = [[[0.0, 1.0]], [[-2.0, 3.0]]]
    heat = tracked({}, go.Heatmap(z=z[1]), z=z)["data"][0]
    assert (heat["zmin"], heat["zmax"]) == (-2, 3)
    centred = tracked({}, go.Heatmap(z=z[1], zmid=0), z=z)["data"][0]
    assert (centred["zmin"], centred["zmax"]) == (-3, 3)
    given = tracked({}, go.Heatmap(z=z[1], zmin=-9), z=z)["data"][0]
    assert (given["zmin"], given["zmax"]) == (-9, 3)
    points = tracked({}, go.Scatter(y=[1, 2], marker={"color": [1, 2]}), marker_color=Y)["data"][0]["marker"]
    assert (points["cmin"], points["cmax"]) == (0.5, 4.5)
    shared = [go.Heatmap(z=z[1], coloraxis="coloraxis"), go.Heatmap(z=[[8.0]], coloraxis="coloraxis")]
    layout = tracked({}, *shared, z=z)["layout"]
    assert (layout["coloraxis"]["cmin"], layout["coloraxis"]["cmax"]) == (-2, 8)
    assert "zmin" not in figure_data(go.Figure(go.Heatmap(z=z[1])), ())["data"][0], "control: no track, no limits"
