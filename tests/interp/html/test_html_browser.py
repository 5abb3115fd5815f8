"""The page in a real browser: figures follow the slider, and there are no requests and no foreign scripts."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser, Download, Page

from interp.html.blocks import Figure, Table, Text
from interp.html.page import Page as OurPage
from interp.html.page import PageSection, render_page
from interp.html.tracks import Track
from tests.browser import OpenedPage, launched, opened_in, wait_until

STEPS = (0, 3, 10, 31, 100, 310, 1000)
FEW = (0, 31, 1000)
HOSTILE = '</script><img src=x onerror="window.hacked=1">'
AUTHOR_COLOUR = "rgb(1, 2, 3)"


def _figure(heading: str, fig: go.Figure, steps: tuple[int, ...] = (), *tracks: Track, **more: Any) -> Figure:
    return Figure(fig, heading, f"{heading} changes.", "a [log](https://x.org)", "A drawing.", steps, tracks, **more)


def _figures() -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    n, k = len(STEPS), len(FEW)
    x, y, bars, z = (
        rng.normal(size=(n, 9)),
        rng.normal(size=(n, 9)),
        rng.random((n, 5)),
        rng.normal(size=(k, 4, 6)),
    )
    bars[2, 1] = np.nan
    small, colour = 10.0 ** rng.uniform(-7, 1, size=(n, 8)), rng.integers(0, 9, size=(n, 9))
    names = np.array([[f"{i}/{j}" for j in range(9)] for i in range(n)])
    cloud = go.Figure(go.Scatter(x=x[-1], y=y[-1], text=names[-1], mode="markers", marker={"color": colour[-1]}))
    moves = (Track(0, "x", x), Track(0, "y", y), Track(0, "marker.color", colour), Track(0, "text", names))
    line = go.Figure([go.Scatter(y=[1.0, 2.0]), go.Scatter(y=small[-1], name=HOSTILE)], {"yaxis": {"type": "log"}})
    return {
        "cloud": _figure("Cloud", cloud, STEPS, *moves, texts=tuple(f"score {step}" for step in STEPS)),
        "bars": _figure("Bars", go.Figure(go.Bar(y=bars[-1])), STEPS, Track(0, "y", bars)),
        "heat": _figure("Heat", go.Figure(go.Heatmap(z=z[-1])), FEW, Track(0, "z", z)),
        "line": _figure("Line", line, STEPS, Track(1, "y", small), default_step=10),
        "still": _figure("Still", go.Figure(go.Scatter(y=[1.0, 2.0])).update_layout(font_color=AUTHOR_COLOUR)),
    }


FIGURES = _figures()
TRACKED = [name for name, figure in FIGURES.items() if figure.tracks]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = Table(pd.DataFrame({HOSTILE: [HOSTILE]}), HOSTILE)
    sections = [PageSection("words", HOSTILE, [Text(HOSTILE), table])]
    sections += [PageSection(name, name, [figure]) for name, figure in FIGURES.items()]
    labels = tuple(f"step {step:,} · {HOSTILE}" for step in STEPS)
    made = tmp_path_factory.mktemp("a page") / "index.html"
    made.write_text(render_page(OurPage(HOSTILE, HOSTILE, sections, {HOSTILE: HOSTILE}, STEPS, labels)))
    return made


@pytest.fixture(scope="module")
def first_opened(browser: Browser, path: Path) -> Iterator[OpenedPage]:
    with opened_in(browser, path) as opened:
        yield opened


@pytest.fixture
def shared(first_opened: OpenedPage) -> Iterator[OpenedPage]:
    """One page shared by many tests, each of which moves the slider; the page may report no error."""
    yield first_opened
    assert (first_opened.problems, first_opened.requests) == ([], [])


def _rows(download: Download) -> list[dict[str, str]]:
    return list(csv.DictReader(download.path().read_text().splitlines()))


def _shown(page: Page, name: str, trace: int, attr: str) -> Any:
    """The values of an attribute that plotly was given last."""
    return page.evaluate(
        """([id, trace, attr]) => {
          let value = document.getElementById(id).querySelector('.plot').data[trace];
          for (const key of attr.split('.')) value = value[key];
          const plain = (v) => (ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v, plain) : v);
          return plain(value);
        }""",
        [f"{name}.1", trace, attr],
    )


def _all_shown(page: Page) -> dict[tuple[str, str], Any]:
    return {(n, t.attr): _shown(page, n, t.trace, t.attr) for n in TRACKED for t in FIGURES[n].tracks}


def _nearest(steps: tuple[int, ...], step: int) -> int:
    return min(steps, key=lambda s: abs(math.log10((s + 1) / (step + 1))))


def _assert_shows(page: Page, step: int) -> None:
    """Every figure shows its step nearest to `step`, as Python draws it, to the tolerance of the packing."""
    for name in TRACKED:
        figure = FIGURES[name]
        drawn: Any = figure.at(_nearest(figure.steps, step))
        for track in figure.tracks:
            expected, got = drawn.data[track.trace][track.attr], _shown(page, name, track.trace, track.attr)
            if track.values.dtype.kind == "U":
                assert got == list(expected)
            else:
                span = float(np.nanmax(track.values) - np.nanmin(track.values))
                atol = 0 if name == "line" else 0.501 * span / 65534  # a log axis is sent as float32
                rtol = float(np.finfo(np.float32).eps)
                np.testing.assert_allclose(np.array(got, float), expected, rtol=rtol, atol=atol)


def _flush(page: Page) -> int:
    page.evaluate("window.page.flush()")
    return page.evaluate("window.page.state.step")


def _press(page: Page, key: str) -> int:
    page.locator("input[type=range]").press(key)
    return _flush(page)


def test_the_slider_moves_every_figure(shared: OpenedPage):
    page = shared.page
    assert _press(page, "End") == STEPS[-1]
    at_end = _all_shown(page)
    for key, step in (("Home", 0), ("End", 1000), ("ArrowLeft", 310), ("ArrowRight", 1000), ("Home", 0)):
        assert _press(page, key) == step
        _assert_shows(page, step)
        assert page.locator("input[type=range]").get_attribute("aria-valuetext") == f"step {step:,} · {HOSTILE}"
        assert page.locator("output").inner_text() == f"step {step:,} · {HOSTILE}"
        assert page.locator("[id='cloud.1'] .step-text").inner_text() == f"score {step}"
    with pytest.raises(AssertionError):
        _assert_shows(page, 1000)
    at_start = _all_shown(page)
    assert all(repr(at_start[key]) != repr(at_end[key]) for key in at_end)


def test_frames_stand_still_while_data_moves(shared: OpenedPage):
    page = shared.page
    fit = "async () => { await Plotly.relayout(document.querySelector('.plot'), {'xaxis.autorange': %s}) }"
    ranges = "['x', 'y'].map((a) => document.querySelector('.plot')._fullLayout[a + 'axis'].range)"

    def seen() -> set[str]:
        shown = set()
        for key in ("End", "Home", "ArrowRight"):
            _press(page, key)
            shown.add(repr(page.evaluate(ranges)))
        return shown

    assert len(seen()) == 1
    page.evaluate(fit % "true")
    assert len(seen()) == 3, "control: left to plotly, the frame fits the data"
    page.evaluate(fit % "false")


def test_an_address_opens_at_its_step_and_follows_the_slider(browser: Browser, path: Path):
    with opened_in(browser, path, "#step=31") as opened:
        page = opened.page
        assert _flush(page) == 31
        _assert_shows(page, 31)
        assert _press(page, "ArrowRight") == 100
        wait_until(page, "location.hash === '#step=100'")
        page.evaluate("location.hash = '#step=12'")
        wait_until(page, "window.page.state.step === 10")
        for other in ("#words", "#step=-1", "#step=x"):
            page.evaluate(f"location.hash = '{other}'")
            assert _flush(page) == 10
        assert (opened.problems, opened.requests) == ([], [])


def test_a_fresh_page_draws_what_is_seen_at_the_step_each_figure_asks_for(browser: Browser, path: Path):
    drawn = "[...document.querySelectorAll('.plot')].filter((plot) => plot.data).length"
    with opened_in(browser, path) as opened:
        page = opened.page
        wait_until(page, f"{drawn} > 0")
        assert page.evaluate(drawn) < len(FIGURES)
        page.locator("[id='still']").scroll_into_view_if_needed()
        wait_until(page, "document.getElementById('still.1').querySelector('.plot').data !== undefined")
        assert _flush(page) == STEPS[-1]
        assert page.evaluate(drawn) == len(FIGURES)
        opens = page.locator("[id='line.1'] .note")
        assert opens.inner_text() == "shows step 10 until the slider moves"
        line, (track,) = _shown(page, "line", 1, "y"), FIGURES["line"].tracks
        np.testing.assert_allclose(line, track.values[2], rtol=float(np.finfo(np.float32).eps))
        _press(page, "ArrowLeft")
        assert opens.inner_text() == ""
        _assert_shows(page, 310)


def test_a_figure_with_fewer_steps_says_which_it_shows(shared: OpenedPage):
    page = shared.page
    for key, shown in (("End", "1,000"), ("ArrowLeft", "1,000"), ("ArrowLeft", "31"), ("Home", "0")):
        _press(page, key)
        note = page.locator("[id='heat.1'] .note").inner_text()
        assert note == f"shows step {shown} (nearest of its 3 snapshots)"
    assert page.locator("[id='cloud.1'] .note").inner_text() == "", "control: one with all steps says nothing"


def test_playing_goes_to_the_end_and_stops(shared: OpenedPage):
    page, button = shared.page, shared.page.locator(".bar button")
    _press(page, "End")
    assert _press(page, "ArrowLeft") == 310
    button.click()
    assert button.get_attribute("aria-label") == "Pause"
    wait_until(page, "window.page.state.step === 1000")
    page.wait_for_selector(".bar button[aria-label=Play]")
    button.click()
    assert _flush(page) == 0, "from the end it starts again"
    button.click()
    assert button.get_attribute("aria-label") == "Play"


def test_the_csv_has_the_numbers_shown(shared: OpenedPage):
    page = shared.page
    _press(page, "Home")
    with page.expect_download() as at_start:
        page.locator("[id='cloud.1'] .csv").click()
    for _ in range(4):
        _press(page, "ArrowRight")
    with page.expect_download() as cloud:
        page.locator("[id='cloud.1'] .csv").click()
    with page.expect_download() as heat:
        page.locator("[id='heat.1'] .csv").click()
    assert cloud.value.suggested_filename == "cloud.1-step-100.csv"
    assert heat.value.suggested_filename == "heat.1-step-31.csv"
    expected: Any = FIGURES["cloud"].at(100)
    for attr in ("x", "y"):
        got = [float(row[attr]) for row in _rows(cloud.value)]
        np.testing.assert_allclose(got, expected.data[0][attr], atol=1e-4)
        assert not np.allclose([float(row[attr]) for row in _rows(at_start.value)], got, atol=1e-4), "control"
    expected = FIGURES["heat"].at(31)
    grid = _rows(heat.value)
    np.testing.assert_allclose([float(row["z"]) for row in grid], expected.data[0].z.ravel(), atol=1e-4)
    assert [row["x"] for row in grid[:7]] == ["0", "1", "2", "3", "4", "5", "0"]


def test_hostile_words_are_shown_and_not_run(shared: OpenedPage, browser: Browser, tmp_path: Path):
    page = shared.page
    _flush(page)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.title() == HOSTILE
    assert page.evaluate("window.hacked") is None
    page.evaluate("(words) => document.querySelector('main').insertAdjacentHTML('beforeend', words)", HOSTILE)
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None, "the policy stops what slipped through"
    page.evaluate("document.querySelector('main > img').remove()")
    assert any("Content Security Policy" in problem for problem in shared.problems)
    shared.problems.clear()
    shared.requests.clear()
    control = tmp_path / "control.html"
    control.write_text(f"<!doctype html><script>1{HOSTILE}")
    with opened_in(browser, control) as opened:
        wait_until(opened.page, "window.hacked === 1")


def test_no_button_shares_the_chart(shared: OpenedPage):
    page = shared.page
    buttons = "[...document.querySelectorAll('[data-title]')].map((button) => button.dataset.title)"
    _flush(page)
    titles = page.evaluate(buttons)
    assert titles
    assert not [title for title in titles if "hare" in title]
    page.evaluate("""async () => {
      const plain = document.body.appendChild(document.createElement("div"));
      await Plotly.newPlot(plain, [{ y: [1] }]);
    }""")
    assert [title for title in page.evaluate(buttons) if "hare" in title], "control: plotly's default"
    page.evaluate("document.body.lastChild.remove()")


def test_plots_follow_the_colour_scheme_and_paper_is_light(shared: OpenedPage):
    page = shared.page
    ink = "[...document.querySelectorAll('.plot')].map((plot) => plot._fullLayout.font.color.trim())"

    def is_light() -> set[bool]:
        _flush(page)
        return {int(colour[1:3], 16) > 128 for colour in page.evaluate(ink)}

    assert is_light() == {False}
    page.emulate_media(color_scheme="dark")
    assert is_light() == {True}
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert is_light() == {False}
    assert page.evaluate("document.querySelector('.plot')._fullLayout.width") == 680
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert is_light() == {True}
    page.emulate_media(color_scheme="light")


def test_a_telephone_is_wide_enough(shared: OpenedPage):
    page = shared.page
    width = "document.querySelector('.plot')._fullLayout.width"
    _flush(page)
    assert page.evaluate(width) > 360
    page.set_viewport_size({"width": 360, "height": 740})
    wait_until(page, f"{width} < 360")
    _flush(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.set_viewport_size({"width": 1280, "height": 900})
