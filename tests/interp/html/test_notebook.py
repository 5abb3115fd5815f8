"""Blocks in a notebook: framed figures, ids, HTML of hostile texts, and files of images."""

import json
import re
import shutil
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from interp.html import export
from interp.html.blocks import Figure, Table, Text, by_id, nearest_step
from interp.html.export import save_figure
from interp.html.tracks import Track, figure_data
from tests.browser import NAMES, opened

STEPS = (0, 10, 100, 1000)
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"> & <b>'
WORDS: dict[str, Any] = {"takeaway": "It moves.", "source": "", "alt": ""}


def moving(heading="Loss over time, in steps", **more) -> Figure:
    y, z = np.geomspace(1e-3, 10, 20).reshape(4, 5), np.arange(24.0).reshape(4, 2, 3)
    fig = go.Figure([go.Scatter(y=y[-1]), go.Heatmap(z=z[-1], xaxis="x2", yaxis="y2")])
    fig.update_layout(height=300, margin_t=30)
    tracks = (Track(0, "y", y), Track(1, "z", z))
    return Figure(fig, heading, steps=STEPS, tracks=tracks, **WORDS, **more)


def still(heading="Still", **more) -> Figure:
    return Figure(go.Figure(go.Scatter(y=[1.0, 2.0])), heading, **WORDS, **more)


# --- ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("Loss over time, in steps", "loss_over_time"),
        ("Step 15,000: effects", "step_15"),
        ("The curves at some steps.", "the_curves_at_some_steps"),
        ("A B C D E F", "a_b_c_d_e"),
        ("<script>", "script"),
        ("→", "block"),
    ],
)
def test_ids_are_made_of_the_first_words(text, id):
    assert still(text).id == Table(pd.DataFrame(), text).id == id
    assert still(text, id="W_E").id == Table(pd.DataFrame(), text, "W_E").id == "W_E"


@pytest.mark.parametrize("id", ["a b", "a.b", "a-b", '"', "é"])
def test_ids_of_other_characters_are_refused(id):
    with pytest.raises(ValueError, match="letters, digits and _ are allowed"):
        still(id=id)


def test_blocks_by_id_and_no_id_twice():
    first, second = still("One"), Table(pd.DataFrame(), "Two")
    assert by_id([Text("words"), first, second]) == {"one": first, "two": second}
    with pytest.raises(ValueError, match="not unique"):
        by_id([first, Table(pd.DataFrame(), "One")])


# --- framed figures -------------------------------------------------------------------------------------


def test_the_nearest_step_is_the_one_of_the_page():
    """The nearest step is by ratio of step + 1, as in page.js: 30 is nearer to 10 in difference but not in ratio."""
    assert [nearest_step(STEPS, step) for step in (0, 2, 3, 10, 30, 40, 90, 10**6)] == [
        0,
        0,
        10,
        10,
        10,
        100,
        100,
        1000,
    ]
    assert min(STEPS, key=lambda s: abs(s - 40)) == 10  # control: by difference it would be 10
    assert nearest_step((0, 3), 1) == 0  # log 1, log 2, log 4: a tie goes to the earlier


@pytest.mark.parametrize("step", STEPS)
def test_a_framed_figure_holds_the_step_s_values_in_the_page_s_frame(step):
    figure, i = moving(), STEPS.index(step)
    before = figure.fig.to_json()
    fig: Any = figure.framed(step)
    np.testing.assert_array_equal(fig.data[0].y, np.geomspace(1e-3, 10, 20).reshape(4, 5)[i])
    np.testing.assert_array_equal(fig.data[1].z, np.arange(24.0).reshape(4, 2, 3)[i])
    sent = figure_data(figure.fig, figure.tracks)
    assert list(fig.layout.yaxis.range) == sent["layout"]["yaxis"]["range"]
    assert (fig.data[1].zmin, fig.data[1].zmax) == (sent["data"][1]["zmin"], sent["data"][1]["zmax"]) == (0, 23)
    assert figure.at(step).layout.yaxis.range is None  # type: ignore[attr-defined]  # control: the frame was added
    assert figure.fig.to_json() == before


def test_the_title_names_the_step_that_is_shown():
    def title(fig: Any) -> str:
        return re.sub("<[^>]*>", "", fig.layout.title.text)

    assert title(moving().framed()) == "Loss over time, in steps  step 1,000"
    assert title(moving().framed(100)).endswith("  step 100")
    assert title(moving().framed(5000)).endswith("  step 1,000, nearest to 5,000")
    assert title(moving(default_step=10).framed()).endswith("  step 10")
    assert title(still().framed()) == "Still"
    fig: Any = moving().framed()
    assert fig.layout.height - 300 == fig.layout.margin.t - 30 > 0  # room for the title, not taken from the panels
    with pytest.raises(ValueError, match="does not change with the step"):
        still().framed(10)


# --- HTML -----------------------------------------------------------------------------------------------


def test_tables_escape_and_stay_short():
    table = Table(pd.DataFrame({HOSTILE: [HOSTILE] * 1000, "n": range(1000)}), HOSTILE)
    html = table._repr_html_()
    assert set(re.findall(r"<(\w+)", html)) == {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<tr") < 70 and "&lt;img src=x" in html
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", html)


def test_a_figure_is_drawn_in_a_notebook_without_the_network_and_runs_no_words(tmp_path):
    figure = Figure(moving().fig, HOSTILE, HOSTILE, HOSTILE, HOSTILE, STEPS, moving().tracks, id="x")
    figure.fig.data[0].name = HOSTILE  # type: ignore[index]
    bundle = figure._repr_mimebundle_()
    spec = bundle["application/vnd.plotly.v1+json"]
    assert spec["data"][0]["type"] == "scatter" and spec["config"]["showSendToCloud"] is False
    json.dumps(spec)
    assert "<b>" not in spec["layout"]["title"]["text"] and "&lt;b&gt;" in spec["layout"]["title"]["text"]
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{bundle['text/html']}</body>")
    with opened(path) as browser:
        browser.page.wait_for_selector(".main-svg")
        assert browser.page.evaluate("window.hacked") is None
        assert browser.requests == [] and browser.problems == []
        assert browser.page.locator(".trace.scatter").count() == 1
        assert browser.page.locator("p").inner_text() == HOSTILE


# --- files ----------------------------------------------------------------------------------------------


def test_images_by_kaleido(tmp_path):
    pytest.importorskip("kaleido", reason="kaleido is not installed: pip install 'groklens[export]'")
    if not any(map(shutil.which, NAMES)):
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH; install Chromium")
    png = moving().save(tmp_path / "new" / "figure.png", step=10).read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1400, 2 * moving().framed().layout.height)  # type: ignore[attr-defined]
    svg = save_figure(moving("Heading & co").framed(), str(tmp_path / "figure.svg")).read_text()
    assert svg.startswith("<svg") and "Heading &amp; co" in svg


def test_html_opens_offline_and_other_endings_are_refused(tmp_path):
    path = still().save(tmp_path / "figure.html")
    assert "cdn." not in re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
    for name in ("figure.gif", "figure", "figure.PNG"):
        with pytest.raises(ValueError, match=r"use \.png, \.svg, \.pdf or \.html"):
            still().save(tmp_path / name)


def test_what_is_missing_is_named_in_a_line(tmp_path, monkeypatch):
    def chrome_is_missing(*args, **kwargs):
        raise RuntimeError("\n\nKaleido requires Google Chrome to be installed.\n\nEither download ...")

    with monkeypatch.context() as patch:
        patch.setattr(export, "find_spec", lambda name: None)
        with pytest.raises(RuntimeError, match=r"kaleido, which is not installed: pip install 'groklens\[export\]'"):
            still().save(tmp_path / "figure.png")
    pytest.importorskip("kaleido")
    monkeypatch.setattr(go.Figure, "to_image", chrome_is_missing)
    with pytest.raises(RuntimeError, match="found neither: install one, or run plotly_get_chrome") as error:
        still().save(tmp_path / "figure.svg")
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []
