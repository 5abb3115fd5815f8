"""The page in a real browser: figures follow the slider, and there are no requests and no foreign scripts."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser, Download

from interp.html.blocks import Figure, Table, Text
from interp.html.page import Page as OurPage
from interp.html.page import PageSection
from interp.html.render import render_page
from interp.html.tracks import Track
from tests.browser import OpenedPage, opened_in, wait_until
from tests.panels import assert_shows, expected, flush, picture, press, shown

STEPS = (0, 3, 10, 31, 100, 310, 1000)
FEW = (0, 31, 1000)
HOSTILE = '</script><img src=x onerror="window.hacked=1">'
COUNTS = np.array([[0, 9], [4, 2], [7, 1]])
WORDS = np.array([[f"{letter}{i}" for letter in "cd"] for i in range(3)])
GAPS = np.array([[1.0, 5.0], [1.5, 5.0], [np.inf, 5.0]])


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
    cloud = go.Figure(
        go.Scatter(
            x=x[-1], y=y[-1], text=names[-1], mode="markers", marker={"color": colour[-1], "colorscale": "Phase"}
        )
    )
    moves = (Track(0, "x", x), Track(0, "y", y), Track(0, "marker.color", colour), Track(0, "text", names))
    line = go.Figure([go.Scatter(y=[1.0, 2.0]), go.Scatter(y=small[-1], name=HOSTILE)], {"yaxis": {"type": "log"}})
    rose = go.Figure(go.Scatterpolar(r=y[-1], theta=np.arange(9) * 40, mode="lines"))
    counts = go.Figure(go.Scatter(y=COUNTS[-1], text=WORDS[-1], mode="markers"))
    gaps = go.Figure(go.Bar(y=GAPS[-1]))
    return {
        "cloud": _figure("Cloud", cloud, STEPS, *moves, texts=tuple(f"score {step}" for step in STEPS)),
        "bars": _figure("Bars", go.Figure(go.Bar(y=bars[-1])), STEPS, Track(0, "y", bars)),
        "heat": _figure("Heat", go.Figure(go.Heatmap(z=z[-1], colorscale="Viridis")), FEW, Track(0, "z", z)),
        "counts": _figure("Counts", counts, FEW, Track(0, "y", COUNTS), Track(0, "text", WORDS)),
        "gaps": _figure("Gaps", gaps, FEW, Track(0, "y", GAPS), columns={"y": 'share of "all"', "x": "x"}),
        "line": _figure("Line", line, STEPS, Track(1, "y", small), default_step=10),
        "still": _figure("Still", go.Figure(go.Scatter(y=[1.0, 2.0]))),
        "roses": _figure("Roses", rose, STEPS, Track(0, "r", y)),
    }


FIGURES = _figures()
TRACKED = {f"{name}.{figure.id}": figure for name, figure in FIGURES.items() if figure.tracks}


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
    """One page for many tests, each of which moves the slider where it wants it; none may complain."""
    yield first_opened
    assert (first_opened.problems, first_opened.requests) == ([], [])


def _rows(download: Download) -> list[dict[str, str]]:
    return list(csv.DictReader(download.path().read_text().splitlines()))


def _all_shown(page: Any) -> dict[tuple[str, str], str]:
    return {(id, t.attr): repr(shown(page, id, t.trace, t.attr)) for id, fig in TRACKED.items() for t in fig.tracks}


def test_the_slider_moves_every_figure(shared: OpenedPage):
    page = shared.page
    assert press(page, "End") == STEPS[-1]
    at_end = _all_shown(page)
    for key, step in (("Home", 0), ("End", 1000), ("ArrowLeft", 310), ("ArrowRight", 1000), ("Home", 0)):
        assert press(page, key) == step
        assert_shows(page, TRACKED, step)
        assert page.locator("input[type=range]").get_attribute("aria-valuetext") == f"step {step:,} · {HOSTILE}"
        assert page.locator("output").inner_text() == f"step {step:,} · {HOSTILE}"
        assert page.locator("[id='cloud.cloud'] .step-text").inner_text() == f"score {step}"
    with pytest.raises(AssertionError):
        assert_shows(page, TRACKED, 1000)
    at_start = _all_shown(page)
    assert all(at_start[key] != at_end[key] for key in at_end)


def test_every_figure_follows_the_slider_at_every_snapshot(shared: OpenedPage):
    press(shared.page, "Home")
    for step in STEPS:
        assert flush(shared.page) == step
        assert_shows(shared.page, TRACKED, step)
        press(shared.page, "ArrowRight")


def test_axes_stand_still_while_what_is_painted_moves(shared: OpenedPage):
    page = shared.page
    frames, pictures = set(), set()
    for key in ("End", "Home", "ArrowRight"):
        press(page, key)
        frames.add(page.locator("[id='cloud.cloud'] .frame").inner_html())
        pictures.add(picture(page, "cloud.cloud"))
    assert len(frames) == 1
    assert len(pictures) == 3, "control: the points moved"


def test_numbers_fade_between_snapshots_and_whole_ones_do_not(shared: OpenedPage):
    page, heat = shared.page, FIGURES["heat"]
    press(page, "End")
    assert press(page, "ArrowLeft") == 310
    want, atol = expected(heat, heat.tracks[0], 310)
    share = np.log(311 / 32) / np.log(1001 / 32)
    by_hand = heat.tracks[0].values[1] * (1 - share) + heat.tracks[0].values[2] * share
    np.testing.assert_allclose(want, by_hand, rtol=1e-12)
    np.testing.assert_allclose(shown(page, "heat.heat", 0, "z"), by_hand, rtol=0, atol=atol)
    assert np.abs(by_hand - heat.tracks[0].values[2]).max() > 100 * atol, "control: not a snapshot's own"
    counts = FIGURES["counts"].tracks[0].values
    np.testing.assert_array_equal(shown(page, "counts.counts", 0, "y"), counts[2])
    assert shown(page, "counts.counts", 0, "text") == ["c2", "d2"]
    assert np.isnan(shown(page, "gaps.gaps", 0, "y")[0]) and shown(page, "gaps.gaps", 0, "y")[1] == 5
    press(page, "ArrowLeft")
    np.testing.assert_array_equal(shown(page, "counts.counts", 0, "y"), counts[1])
    assert shown(page, "gaps.gaps", 0, "y")[0] == pytest.approx(1.5, abs=1e-4), (
        "of two snapshots of which one is absent the nearer is shown"
    )


def test_a_figure_with_fewer_steps_says_what_it_shows(shared: OpenedPage):
    page = shared.page
    for key, words in (
        ("End", "shows step 1,000 (one of its 3 snapshots)"),
        ("ArrowLeft", "drawn between its snapshots of steps 31 and 1,000"),
        ("ArrowLeft", "drawn between its snapshots of steps 31 and 1,000"),
        ("ArrowLeft", "shows step 31 (one of its 3 snapshots)"),
        ("Home", "shows step 0 (one of its 3 snapshots)"),
    ):
        press(page, key)
        assert page.locator("[id='heat.heat'] .note").inner_text() == words
    assert page.locator("[id='cloud.cloud'] .note").inner_text() == "", "control: one with all steps says nothing"


def test_an_address_opens_at_its_step_and_follows_the_slider(browser: Browser, path: Path):
    with opened_in(browser, path, "#step=31") as opened:
        page = opened.page
        assert flush(page) == 31
        assert_shows(page, TRACKED, 31)
        assert press(page, "ArrowRight") == 100
        wait_until(page, "location.hash === '#step=100'")
        page.evaluate("location.hash = '#step=12'")
        wait_until(page, "window.page.state.step === 10")
        for other in ("#words", "#step=-1", "#step=x", "#%", "#step=%E0%A4%A", "#=&==", "#step=10&step="):
            page.evaluate(f"location.hash = '{other}'")
            assert flush(page) == 10
        assert (opened.problems, opened.requests) == ([], [])


def test_a_fresh_page_draws_what_is_near_at_the_step_each_figure_asks_for(browser: Browser, path: Path):
    drawn = "[...window.page.panels.values()].filter((panel) => panel.drawn?.live || panel.closely).length"
    with opened_in(browser, path) as opened:
        page = opened.page
        wait_until(page, f"{drawn} > 0")
        page.wait_for_timeout(300)
        assert page.evaluate(drawn) < len(FIGURES) - 2
        page.locator("[id='still']").scroll_into_view_if_needed()
        wait_until(page, "window.page.panels.get('still.still')?.drawn.live !== undefined")
        assert flush(page) == STEPS[-1]
        assert page.evaluate(drawn) == len(FIGURES)
        opens = page.locator("[id='line.line'] .note")
        assert opens.inner_text() == "shows step 10 until the slider moves"
        line, (track,) = shown(page, "line.line", 1, "y"), FIGURES["line"].tracks
        np.testing.assert_allclose(line, track.values[2], rtol=float(np.finfo(np.float32).eps))
        press(page, "ArrowLeft")
        assert opens.inner_text() == ""
        assert_shows(page, TRACKED, 310)
        assert (opened.problems, opened.requests) == ([], [])


def test_playing_goes_to_the_end_and_stops(shared: OpenedPage):
    page, button = shared.page, shared.page.locator("#page\\.play")
    press(page, "End")
    assert press(page, "ArrowLeft") == 310
    button.click()
    assert button.get_attribute("aria-label") == "Pause"
    wait_until(page, "window.page.state.step === 1000")
    page.wait_for_selector("[aria-label=Play]")
    button.click()
    assert flush(page) == 0, "from the end it starts again"
    button.click()
    assert button.get_attribute("aria-label") == "Play"


def test_the_csv_has_the_numbers_shown(shared: OpenedPage):
    page = shared.page
    press(page, "Home")
    with page.expect_download() as at_start:
        page.locator("[id='cloud.cloud'] .csv").click()
    for _ in range(4):
        press(page, "ArrowRight")
    with page.expect_download() as cloud:
        page.locator("[id='cloud.cloud'] .csv").click()
    with page.expect_download() as heat:
        page.locator("[id='heat.heat'] .csv").click()
    assert cloud.value.suggested_filename == "cloud.cloud-step-100.csv"
    assert heat.value.suggested_filename == "heat.heat-step-31.csv"
    want: Any = FIGURES["cloud"].at(100)
    for attr in ("x", "y"):
        got = [float(row[attr]) for row in _rows(cloud.value)]
        np.testing.assert_allclose(got, want.data[0][attr], atol=1e-4)
        assert not np.allclose([float(row[attr]) for row in _rows(at_start.value)], got, atol=1e-4), "control"
    want = FIGURES["heat"].at(31)
    grid = _rows(heat.value)
    np.testing.assert_allclose([float(row["z"]) for row in grid], want.data[0].z.ravel(), atol=1e-4)
    assert [row["x"] for row in grid[:7]] == ["0", "1", "2", "3", "4", "5", "0"]


def test_the_csv_s_columns_have_names_and_absent_values_are_empty(shared: OpenedPage):
    page = shared.page
    press(page, "End")
    press(page, "ArrowLeft")
    with page.expect_download() as gaps:
        page.locator("[id='gaps.gaps'] .csv").click()
    assert gaps.value.path().read_text() == 'x,"share of ""all"""\n0,\n1,5\n'
    assert gaps.value.suggested_filename == "gaps.gaps-step-1000.csv"


def test_hostile_words_are_shown_and_not_run(shared: OpenedPage, browser: Browser, tmp_path: Path):
    page = shared.page
    flush(page)
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


def test_panels_follow_the_colour_scheme_and_paper_is_light(shared: OpenedPage):
    page = shared.page
    ink = "[...window.page.panels.values()].map((p) => p.colours?.ink ?? p.closely._fullLayout.font.color)"

    def is_light() -> set[bool]:
        flush(page)
        words = page.evaluate("getComputedStyle(document.querySelector('.frame text')).fill")
        colours = page.evaluate(ink)
        assert len(colours) == len(FIGURES)
        return {int(colour.strip()[1:3], 16) > 128 for colour in colours} | {int(words[4:].split(",")[0]) > 128}

    assert is_light() == {False}
    page.emulate_media(color_scheme="dark")
    wait_until(page, "matchMedia('(prefers-color-scheme: dark)').matches")
    assert is_light() == {True}
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert is_light() == {False}
    assert page.evaluate("window.page.panels.get('cloud.cloud').size[0]") <= 680
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="null")
    assert is_light() == {True}
    page.emulate_media(color_scheme="light")


def test_a_telephone_is_wide_enough(shared: OpenedPage):
    page = shared.page
    width = "window.page.panels.get('cloud.cloud').size[0]"
    flush(page)
    assert page.evaluate(width) > 360
    page.set_viewport_size({"width": 360, "height": 740})
    wait_until(page, f"{width} < 360")
    flush(page)
    wait_until(page, "document.documentElement.scrollWidth === 360")  # plotly follows a moment later
    page.set_viewport_size({"width": 1280, "height": 900})
