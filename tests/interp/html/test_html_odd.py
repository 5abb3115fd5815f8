"""Odd pages in the browser: absent values, axes of tiny ranges, images of 2 x 2, one snapshot, no steps, selects."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser, Page

from interp.html.blocks import Figure, Link, Text
from interp.html.page import Page as OurPage
from interp.html.page import PageSection, Selection
from interp.html.render import render_page
from interp.html.tracks import Track
from tests.browser import opened_in
from tests.pagechecks import bad_words
from tests.panels import assert_shows, flush, place, press, shown, state

STEPS = (0, 10, 100)
HOSTILE = "$& $1 <b>{}</b> %22"
Opens = Callable[..., AbstractContextManager[Page]]


def figure(
    id: str, *traces: Any, tracks: tuple[Track, ...] = (), steps: tuple[int, ...] = STEPS, **layout: Any
) -> Figure:
    fig = go.Figure(list(traces), {"height": 260, **layout})
    return Figure(fig, id, "Words.", "a log", "A drawing.", steps if tracks else (), tracks, id=id)


@pytest.fixture
def opens(browser: Browser, tmp_path: Path) -> Opens:
    """``opens(*figures, steps=..., ...)``: the page of these figures in one section; it must not complain."""

    @contextmanager
    def opens(*figures: Figure, steps: tuple[int, ...] = STEPS, fragment: str = "", **more: Any) -> Iterator[Page]:
        sections = [PageSection("words", "Words", [Text("Words.")]), PageSection("odd", "Odd", figures)]
        labels = tuple(f"step {step}" for step in steps)
        path = tmp_path / "index.html"
        path.write_text(render_page(OurPage("Title", "Subtitle", sections, {}, steps, labels, **more)))
        with opened_in(browser, path, fragment) as opened:
            flush(opened.page)
            yield opened.page
            assert (opened.problems, opened.requests) == ([], [])

    return opens


def axis_words(page: Page, id: str) -> tuple[list[str], list[str]]:
    """The labels of a panel's horizontal and vertical axis."""
    axes = page.locator(f"[id='odd.{id}'] .axes")
    across, up = axes.locator(".x-label"), axes.locator("text:not(.x-label, .title, .box-title)")
    return across.all_text_contents(), up.all_text_contents()


def colours_at(page: Page, id: str, trace: int, points: Sequence[tuple[Any, Any]]) -> list[list[int]]:
    """Red, green, blue and alpha of a panel at points of its axes, of both canvases together."""
    return page.evaluate(
        """([id, trace, points]) => {
          const panel = window.page.panels.get(id);
          const box = panel.boxes.find((b) => panel.tracesIn(b).includes(trace));
          const copy = document.createElement("canvas");
          [copy.width, copy.height] = [panel.live.width, panel.live.height];
          const ctx = copy.getContext("2d", { willReadFrequently: true });
          for (const canvas of [panel.still, panel.live]) ctx.drawImage(canvas, 0, 0);
          return points.map(([x, y]) => Array.from(ctx.getImageData(
            Math.round(box.xs.pixel(x) * panel.ratio), Math.round(box.ys.pixel(y) * panel.ratio), 1, 1).data));
        }""",
        [f"odd.{id}", trace, points],
    )


# --- absent values ----------------------------------------------------------------------------------------


def test_absent_and_infinite_values_are_not_drawn(opens: Opens):
    z = np.array([[[0.0, np.nan], [np.inf, 1.0]]] * 3)
    y = np.array([[1.0, np.nan, 3.0, -np.inf, 5.0]] * 3)
    black = [[0, "#000000"], [1, "#000000"]]
    image = figure("image", go.Heatmap(z=z[-1], colorscale=black), tracks=(Track(0, "z", z),))
    dots = {"size": 12, "color": "#000000"}
    points = figure("points", go.Scatter(y=y[-1], mode="markers", marker=dots), tracks=(Track(0, "y", y),))
    listed = figure("listed", go.Scatter(y=[1, None, 3], mode="markers", marker=dots))
    gone = {"color": [np.nan, 0.0, np.nan], "colorscale": black, "size": 12}
    colours = figure("colours", go.Scatter(y=[1, 2, 3], mode="markers", marker=gone))
    bars = figure("bars", go.Bar(y=[1.0, None, 3.0], marker_color="#000000"))
    nothing = figure("nothing", go.Scatter(y=[np.nan, np.nan]))
    blank = figure("blank", go.Heatmap(z=[[np.nan]], colorscale=black))
    empty = figure("empty", annotations=[{"text": "none", "xref": "paper", "yref": "paper", "showarrow": False}])
    with opens(image, points, listed, colours, bars, nothing, blank, empty) as page:
        cells = [(0, 0), (1, 0), (0, 1), (1, 1)]
        assert [colour[3] for colour in colours_at(page, "image", 0, cells)] == [255, 0, 0, 255]
        assert [c[3] for c in colours_at(page, "points", 0, [(0, 1), (2, 3), (4, 5), (1, 2)])] == [255, 255, 255, 0]
        assert [c[3] for c in colours_at(page, "listed", 0, [(0, 1), (2, 3), (1, 2)])] == [255, 255, 0]
        assert [c[3] for c in colours_at(page, "colours", 0, [(0, 1), (1, 2), (2, 3)])] == [128, 255, 128]
        assert [c[3] for c in colours_at(page, "bars", 0, [(0, 0.5), (1, 0.5), (2, 2.5)])] == [255, 0, 255]
        page.mouse.move(*place(page, "odd.image", 0, 1, 0))
        assert page.locator(".tip").inner_text().split("\n")[-1] != ""
        with page.expect_download() as csv:
            page.locator("[id='odd.points'] .csv").click()
        assert [row.split(",")[2] for row in csv.value.path().read_text().split()[1:]] == ["1", "", "3", "", "5"]
        assert bad_words(page) == []


# --- axes -------------------------------------------------------------------------------------------------


RANGES = {
    "decades": ("log", [1e-7, 10.0]),
    "round_one": ("log", [0.9, 1.1]),
    "close": ("log", [1.001, 1.002]),
    "small_and_close": ("log", [2e-9, 2.0001e-9]),
    "log_point": ("log", [3.0, 3.0]),
    "all": ("log", [1e-300, 1e300]),
    "thin": ("linear", [1.0, 1.0000001]),
    "far": ("linear", [1e9, 1e9 + 1]),
    "small": ("linear", [-1e-12, 1e-12]),
    "point": ("linear", [5.0, 5.0]),
    "wide": ("linear", [-1e30, 1e30]),
}


def test_marks_of_an_axis_are_few_and_different(opens: Opens):
    figures = []
    for id, (kind, values) in RANGES.items():
        figures.append(figure(id, go.Scatter(x=values, y=values[::-1]), xaxis={"type": kind}, yaxis={"type": kind}))
    with opens(*figures) as page:
        for id in RANGES:
            across, up = axis_words(page, id)
            assert 1 <= len(across) <= 18 and len(set(across)) == len(across), (id, across)
            assert 1 <= len(up) <= 18 and len(set(up)) == len(up), (id, up)
        assert bad_words(page) == []
        assert axis_words(page, "decades")[0][0] == "10⁻⁷" and "5.1" in axis_words(page, "point")[0]


def test_names_stand_on_a_category_axis_in_their_order(opens: Opens):
    bars = go.Bar(x=["b", "a", "c"], y=[1, 2, 3], marker_color="#000000")
    numbered = go.Bar(x=[113, 59], y=[1, 2], marker_color="#000000")
    lying = go.Bar(y=["u", "v"], x=[1, 2], orientation="h", marker_color="#000000")
    with opens(
        figure("names", bars), figure("numbers", numbered, xaxis={"type": "category"}), figure("lying", lying)
    ) as page:
        assert axis_words(page, "names")[0] == ["b", "a", "c"]
        assert [c[3] for c in colours_at(page, "names", 0, [("a", 1.5), ("b", 1.5)])] == [255, 0]
        assert axis_words(page, "numbers")[0] == ["113", "59"]
        assert [c[3] for c in colours_at(page, "numbers", 0, [(59, 1.5), (113, 1.5)])] == [255, 0]
        assert axis_words(page, "lying")[1] == ["u", "v"]
        assert [c[3] for c in colours_at(page, "lying", 0, [(1.5, "v"), (1.5, "u")])] == [255, 0]


def test_an_image_of_two_by_two_has_its_cells_in_their_places(opens: Opens):
    z = np.array([[[0, 1], [2, 3]], [[3, 2], [1, 0]], [[0, 0], [0, 3]]])
    scale = [[0, "#000000"], [1 / 3, "#ff0000"], [2 / 3, "#00ff00"], [1, "#0000ff"]]
    links = (Link(0, "a", "y"), Link(0, "b", "x"))
    fig = go.Figure(
        go.Heatmap(z=z[-1], zmin=0, zmax=3, colorscale=scale), {"yaxis": {"autorange": "reversed", "scaleanchor": "x"}}
    )
    two = Figure(fig, "two", "Words.", "", "", STEPS, (Track(0, "z", z),), id="two", links=links)
    one = figure("one", go.Heatmap(z=[[1.0]], colorscale=scale))
    selections = {"a": Selection("a = {}"), "b": Selection("b = {}", (HOSTILE, HOSTILE))}
    with opens(two, one, selections=selections) as page:
        press(page, "Home")
        near = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2, (0, 0, 255): 3}
        found = colours_at(page, "two", 0, [(0, 0), (1, 0), (0, 1), (1, 1)])
        assert [
            near[min(near, key=lambda c: sum(abs(a - b) for a, b in zip(c, rgb, strict=False)))] for rgb in found
        ] == [0, 1, 2, 3]
        top = [page.evaluate("(y) => window.page.panels.get('odd.two').boxes[0].ys.pixel(y)", y) for y in (0, 1)]
        assert top[0] < top[1], "row 0 is at the top"
        page.mouse.click(*place(page, "odd.two", 0, 1, 0))
        flush(page)
        assert (state(page)["a"], state(page)["b"]) == (0, 1)
        assert page.locator(".chip").all_inner_texts() == ["a = 0 ×", f"b = {HOSTILE} ×"]


# --- steps ------------------------------------------------------------------------------------------------


def test_a_page_of_one_snapshot(opens: Opens):
    y = np.array([[1.0, 2.0]])
    one = figure("one", go.Scatter(y=y[0]), tracks=(Track(0, "y", y),), steps=(7,))
    with opens(one, steps=(7,), fragment="#step=3") as page:
        assert state(page)["step"] == 7
        assert_shows(page, {"odd.one": one}, 7)
        for key in ("ArrowLeft", "Home", "ArrowRight"):
            assert press(page, key) == 7
        page.locator("#page\\.play").click()
        page.wait_for_selector("[aria-label=Play]")
        assert page.locator("output").inner_text() == "step 7" and bad_words(page) == []


def test_a_page_without_steps_can_be_selected_in(opens: Opens):
    bars = go.Figure(go.Bar(x=[1, 2, 3], y=[4.0, 5.0, 6.0], marker_color="#0072b2"), {"height": 260})
    still = Figure(bars, "bars", "Words.", "", "", id="bars", links=(Link(0, "k", "x"),))
    with opens(still, steps=(), selections={"k": Selection("frequency {}")}, fragment="#step=5&k=2") as page:
        assert page.locator("#page\\.slider").count() == 0
        assert state(page) == {"step": None, "at": state(page)["at"], "k": 2}
        assert page.locator(".bar").is_visible() and page.locator(".chip").inner_text() == "frequency 2 ×"
        page.locator(".chip").click()
        flush(page)
        assert not page.locator(".bar").is_visible(), "a bar with nothing in it is not there"
        page.evaluate("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
        with page.expect_download() as csv:
            page.locator(".csv").click()
        assert csv.value.suggested_filename == "odd.bars.csv"


def test_selects_choose_among_the_steps_of_a_grid(opens: Opens):
    y = np.arange(12.0).reshape(6, 2)
    figures = figure("one", go.Scatter(y=y[-1]), tracks=(Track(0, "y", y),), steps=tuple(range(6)))
    choices = {"width": ("8", "16"), "rate <i>": ("a", "b", "c")}
    with opens(figures, steps=tuple(range(6)), choices=choices) as page:
        selects = page.locator(".bar select")
        assert selects.count() == 2 and not page.locator("#page\\.slider").is_visible()
        assert [selects.nth(i).input_value() for i in range(2)] == ["16", "c"]
        for width, rate, step in (("8", "a", 0), ("8", "c", 2), ("16", "b", 4)):
            selects.nth(0).select_option(width)
            selects.nth(1).select_option(rate)
            assert flush(page) == step
            np.testing.assert_array_equal(shown(page, "odd.one", 0, "y"), y[step])
        page.evaluate("window.page.go(1)")
        flush(page)
        assert [selects.nth(i).input_value() for i in range(2)] == ["8", "b"]
        assert "rate <i>" in page.locator(".bar").inner_text()
        assert bad_words(page) == []


def test_a_line_beyond_the_axis_is_not_drawn(opens: Opens):
    line = go.Scatter(x=[0, 1], y=[5.0, 6.0])
    beyond, within = figure("beyond", line), figure("within", line)
    beyond.fig.add_hline(y=1e6)
    within.fig.add_hline(y=5.5)
    with opens(beyond, within) as page:
        counts = [page.locator(f"[id='odd.{id}'] .level").count() for id in ("beyond", "within")]
        assert counts == [0, 1]  # the second is the control
