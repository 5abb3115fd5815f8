"""Arrays as a page carries them, read back by an unpacking in Python."""

import numpy as np
import plotly.graph_objects as go
import pytest

from interp.html.drawn import figure_data
from interp.html.packing import Payload, as_it_is, packed
from interp.html.tracks import Track
from tests.unpacking import decoded, revived, unpacked


def back(values: np.ndarray, on_log_axis: bool = False, coarse: bool = False) -> np.ndarray:
    sent = packed(values, on_log_axis, coarse)
    return decoded(sent.how, sent.codes)


def sent(fig: go.Figure, *tracks: Track) -> dict:
    """A figure's data and layout after the way through a payload."""
    payload = Payload()
    return revived(*unpacked(payload.base64(figure_data(fig, tracks, payload))))


def test_packed_fractions_are_within_one_part_in_65534_of_the_range_and_keep_nan():
    values = np.random.default_rng(0).normal(size=(7, 50)) * 1e-3 + 5
    values[2, 3], values[6] = np.nan, np.nan
    values[0, 0], values[1, 1] = np.inf, -np.inf
    got, finite = back(values), np.isfinite(values)
    unit = np.ptp(values[finite]) / 65534
    assert packed(values, False).codes.dtype == "<u2"
    np.testing.assert_array_equal(np.isnan(got), ~finite)
    np.testing.assert_allclose(got[finite], values[finite], rtol=0, atol=unit * 0.501)
    assert np.abs(got[finite] - values[finite]).max() > unit * 0.4, "control: the bound is not slack"


@pytest.mark.parametrize(
    ("values", "dtype", "whole"),
    [
        ([0, 1, 254], "<u1", True),
        ([-3, np.nan, 251], "<u1", True),
        ([0, 255], "<u2", True),
        ([-10_000, 40_000], "<u2", True),
        ([7, 7], "<u1", True),
        ([True, False], "<u1", True),
        ([0.25, 0.25], "<u2", False),
        ([np.nan, np.nan], "<u1", True),
    ],
)
def test_whole_numbers_and_constants_are_packed_exactly(values, dtype, whole):
    got = packed(np.array([values]), on_log_axis=False)
    assert (got.codes.dtype.str, got.how["whole"]) == (np.dtype(dtype).str, whole)
    np.testing.assert_array_equal(decoded(got.how, got.codes), np.array([values], float))


def test_a_coarse_track_travels_in_bytes():
    values = np.linspace(-1, 3, 50).reshape(5, 10)
    assert packed(values, False, coarse=True).codes.dtype == "<u1"
    error = np.abs(back(values, coarse=True) - values).max()
    assert 4 / 254 / 2 * 0.8 < error <= 4 / 254 / 2 + 1e-12
    assert np.abs(back(values) - values).max() < error / 100, "control: a fine one takes two bytes"


def test_a_log_axis_keeps_small_values():
    values = np.array([[1e-7, 3.3e-5, 10.0, np.nan]])
    eps = float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(back(values, on_log_axis=True), values, rtol=eps)
    assert not np.allclose(back(values), values, rtol=0.5, equal_nan=True), "control"
    fig = go.Figure(go.Scatter(x=[1, 2], y=[1.0, 2.0]), {"yaxis": {"type": "log"}})
    track = sent(fig, Track(0, "y", np.array([[1e-7, 1.0], [1.0, 2.0]])))["tracks"][0]["values"]
    np.testing.assert_allclose(track, [[1e-7, 1.0], [1.0, 2.0]], rtol=eps)


def test_strings_are_packed_once_each():
    values = np.array([["b", "a", "b"], ["", "a", "<c>"]])
    assert sorted(packed(values, False).how["words"]) == sorted({"", "a", "b", "<c>"})
    np.testing.assert_array_equal(back(values), values)


def test_still_arrays_travel_as_float32_and_what_is_absent_as_nan():
    y = np.random.default_rng(0).normal(size=(4, 50))
    holes = np.where(np.arange(50) % 7 == 0, np.nan, np.arange(50.0))
    short = [1.5, None, np.inf, np.nan]
    fig = go.Figure(
        [go.Heatmap(z=y), go.Scatter(x=np.arange(300), y=np.arange(300)), go.Scatter(y=holes), go.Scatter(y=short)]
    )
    heat, line, gaps, few = sent(fig)["data"]
    np.testing.assert_allclose(heat["z"], y, rtol=0, atol=0.501 * np.ptp(y) / 65534)
    np.testing.assert_array_equal(line["x"], np.arange(300))
    assert line["x"].dtype == np.float32 and line["x"].size == 300
    np.testing.assert_array_equal(gaps["y"], holes)
    assert few["y"] == [1.5, None, None, None]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "?", ">f4"])
def test_a_widget_s_arrays_travel_in_their_own_type(dtype):
    values = np.arange(12).reshape(3, 4).astype(dtype)
    payload = Payload()
    payload.add(as_it_is(np.zeros(3, np.uint8)))
    content, arrays = unpacked(payload.base64({"it": payload.add(as_it_is(values))}))
    np.testing.assert_array_equal(arrays[content["it"]["array"]], values)
    with pytest.raises(ValueError, match="arrays of float64 have no place in a page"):
        as_it_is(np.zeros(3))


def test_a_tracked_attribute_is_sent_once():
    fig = go.Figure(go.Scatter(x=[1.0, 2.0], y=[3.0, 4.0], marker={"color": [5.0, 6.0], "size": 3}))
    data = sent(fig, Track(0, "y", np.zeros((3, 2))), Track(0, "marker.color", np.zeros((3, 2))))
    assert set(data["data"][0]) == {"type", "x", "marker"} and set(data["data"][0]["marker"]) == {
        "size",
        "cmin",
        "cmax",
    }
