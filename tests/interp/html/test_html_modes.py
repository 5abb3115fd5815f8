"""The page in other circumstances: without scripts, without DecompressionStream, on paper, looked at closely."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from interp.html.page import PageSection
from interp.html.render import render_page
from tests.browser import OpenedPage, opened_in, wait_until
from tests.minipage import ARRAYS, IMAGES, STEPS, lines, mini, rose, table
from tests.panels import flush, go, lit, picture, state

PAINTED = ("story.loss", "story.table", "story.circles", "spec.spectrum", "spec.lines", "im.images")


def numbers(page: Page, script: str) -> Any:
    """What a script gives, typed arrays as lists."""
    return page.evaluate(
        "(() => { const plain = (v) => (ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v, plain) : v);"
        f" return plain({script}); }})()"
    )


# --- plotly -----------------------------------------------------------------------------------------------


def test_a_figure_looked_at_closely_is_drawn_by_plotly_with_the_same_numbers(browser: Browser, tmp_path: Path):
    """On a page of its own, whose plotly.js is not loaded before; under the policy of the page."""
    path = tmp_path / "index.html"
    sections = [PageSection("spec", "Spectra", [lines(), table()])]
    path.write_text(render_page(mini(sections=sections)))
    with opened_in(browser, path) as opened:
        page = opened.page
        go(page, 100)
        assert page.evaluate("window.Plotly === undefined && document.querySelectorAll('script').length") == 3
        before = picture(page, "spec.table")
        button = page.locator("[id='spec.table'] .closer")
        button.click()
        wait_until(page, "document.querySelector('[id=\"spec.table\"] .js-plotly-plot')?.data !== undefined")
        assert button.get_attribute("aria-pressed") == "true"
        assert not page.locator("[id='spec.table'] .plot").is_visible()
        drawn = "document.querySelector('[id=\"spec.table\"] .js-plotly-plot').data[0].z"
        want: Any = table().at(100).data[0]
        np.testing.assert_array_equal(numbers(page, drawn), want.z)
        go(page, 310)
        want = table().at(310).data[0]
        np.testing.assert_array_equal(numbers(page, drawn), want.z)
        assert not np.array_equal(want.z, table().at(100).data[0].z), "control"  # type: ignore[attr-defined]
        go(page, 100)
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.locator("[id='spec.table'] .closely").count() == 0
        assert page.locator("[id='spec.table'] .plot").is_visible() and picture(page, "spec.table") == before
        assert (opened.problems, opened.requests) == ([], [])


def test_what_the_painters_do_not_know_is_drawn_by_plotly(small: OpenedPage):
    page = small.page
    page.locator("[id='parts.rose']").scroll_into_view_if_needed()
    wait_until(page, "document.querySelector('[id=\"parts.rose\"] .js-plotly-plot')?.data !== undefined")
    want: Any = rose().fig.data[0]
    found = numbers(page, "document.querySelector('[id=\"parts.rose\"] .js-plotly-plot').data[0].r")
    np.testing.assert_allclose(found, want.r, rtol=1e-6)
    assert page.locator("[id='parts.rose'] .closer").count() == 0, "there is nothing to come back to"
    assert page.locator("[id='spec.spectrum'] .js-plotly-plot").count() == 0, "control"


def test_no_button_shares_the_chart_that_plotly_draws(small: OpenedPage):
    page = small.page
    buttons = "[...document.querySelectorAll('[data-title]')].map((button) => button.dataset.title)"
    flush(page)
    titles = page.evaluate(buttons)
    assert titles
    assert not [title for title in titles if "hare" in title]
    page.evaluate("""async () => {
      const plain = document.body.appendChild(document.createElement("div"));
      await Plotly.newPlot(plain, [{ y: [1] }]);
    }""")
    assert [title for title in page.evaluate(buttons) if "hare" in title], "control: plotly's default"
    page.evaluate("document.body.lastChild.remove()")


# --- without scripts --------------------------------------------------------------------------------------


@pytest.fixture(params=["no scripts", "no DecompressionStream"])
def still_page(
    request: pytest.FixtureRequest, browser: Browser, mini_path: Path
) -> Iterator[tuple[str, Page, list[str]]]:
    """The page in a browser that cannot unpack its figures."""
    context = browser.new_context(offline=True, java_script_enabled=request.param != "no scripts")
    context.add_init_script("delete window.DecompressionStream")
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text))
    page.goto(mini_path.as_uri())
    yield request.param, page, problems
    context.close()


def test_readers_without_scripts_get_words_pictures_and_one_line(still_page):
    why, page, problems = still_page
    assert page.locator("svg.still").count() == 3
    for i in range(3):
        assert page.locator("svg.still").nth(i).is_visible()
    assert page.locator(".notice:visible").count() == 1
    notice = page.locator(".notice:visible").inner_text()
    assert ("lacks DecompressionStream" if why != "no scripts" else "only with JavaScript") in notice
    assert page.locator(".story").first.is_visible() and page.locator("[id='story.loss'] .takeaway").is_visible()
    assert page.locator("[id='parts.widget'] .still-content").inner_text() == "At the end."
    for control in (".bar", ".tools", ".plot", ".widget"):
        assert page.locator(f"{control}:visible").count() == 0, control
    page.locator("summary", has_text="Appendix").click()
    assert page.locator("table:visible").count() == 1
    assert problems == []


def test_with_scripts_neither_line_nor_pictures_are_seen(small: OpenedPage):
    assert small.page.locator(".notice:visible").count() == 0
    assert small.page.locator("svg.still:visible").count() == 0
    assert small.page.locator(".bar:visible").count() == 1


# --- paper ------------------------------------------------------------------------------------------------


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_on_paper_the_lead_is_shown_at_the_chosen_steps(small: OpenedPage):
    page = small.page
    page.evaluate("window.page.go(31)")
    flush(page)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    moments = page.locator(".moment")
    assert page.locator(".moment-step").all_inner_texts() == ["Step 0", "Step 10", "Step 1,000"]
    assert [moments.nth(i).locator(".picture").count() for i in range(3)] == [3, 3, 3]
    shown = [
        page.evaluate("(i) => document.querySelectorAll('.moment')[i].querySelectorAll('canvas')[3].toDataURL()", i)
        for i in range(3)
    ]
    assert len(set(shown)) == 3
    assert state(page)["step"] == 31
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert moments.count() == 0 and flush(page) == 31


def test_a_lead_figure_that_plotly_draws_is_printed_as_it_stands(small: OpenedPage):
    page = small.page
    page.locator("[id='story.table'] .closer").click()
    wait_until(page, "document.querySelector('[id=\"story.table\"] .js-plotly-plot')?.data !== undefined")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert [page.locator(".moment").nth(i).locator(".picture").count() for i in range(3)] == [2, 2, 2]
    assert page.locator("[id='story.table']").is_visible() and not page.locator("[id='story.loss']").is_visible()
    page.emulate_media(media="null")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.locator("[id='story.table'] .closer").click()


def test_the_printed_pages_are_full(small: OpenedPage, tmp_path: Path):
    """The content's height on paper says how many pages it needs; panels are not cut, so one more may be begun."""
    page = small.page
    pdf = page.pdf(format="A4", print_background=True)
    n_pages = pages_of(pdf)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1016})
    needed = page.evaluate("document.body.scrollHeight") / 1016
    page.emulate_media(media="null")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert needed < n_pages <= int(needed) + 2
    assert n_pages <= 3


# --- other pages ------------------------------------------------------------------------------------------


def test_reduced_motion_plays_slowly_and_scrolls_at_once(small: OpenedPage):
    assert small.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_images_keep_their_rows_and_cells_under_the_pointer(small: OpenedPage):
    """The numbers said at a cell are those of the array, row 0 at the top."""
    page = small.page
    words = """([id, trace, x, y]) => {
      const panel = window.page.panels.get(id);
      const box = panel.boxes.find((b) => panel.tracesIn(b).includes(trace));
      panel.plot.scrollIntoView({ block: "center" });
      const { left, top } = panel.plot.getBoundingClientRect();
      return [left + box.xs.pixel(x), top + box.ys.pixel(y)];
    }"""
    for x, y in ((0, 0), (12, 0), (3, 9)):
        page.mouse.move(*page.evaluate(words, ["im.images", 1, x, y]))
        said = page.locator(".tip").inner_text().split("\n")[0]
        found = re.fullmatch(r"a = (\d+), b = (\d+): ([\d.]+)", said)
        assert found and (int(found[1]), int(found[2])) == (y, x)
        assert float(found[3]) == pytest.approx(IMAGES[-1, 1, y, x], abs=1e-4)


def test_the_label_of_every_control_says_which_panel_it_belongs_to(small: OpenedPage):
    labels = small.page.evaluate("[...document.querySelectorAll('.tools button')].map((b) => b.ariaLabel)")
    assert len(labels) == len(set(labels)) == 13
    for id in PAINTED:
        heading = small.page.locator(f"[id='{id}'] h3").inner_text()
        assert f"Zoom into {heading}" in labels
    assert len(STEPS) == 8


# --- widgets --------------------------------------------------------------------------------------------


def test_a_widget_gets_its_arrays_and_the_page_s_state(small: OpenedPage):
    page = small.page
    got = page.evaluate(
        "Object.fromEntries(Object.entries(window.mini.arrays).map(([n, { values, shape }]) => "
        "[n, { kind: values.constructor.name, values: Array.from(values), shape }]))"
    )
    kinds = {"halves": "Float32Array", "floats": "Float32Array", "bytes": "Uint8Array"}
    for name, array in ARRAYS.items():
        assert got[name]["kind"] == kinds[name] and got[name]["shape"] == list(array.shape)
        np.testing.assert_array_equal(got[name]["values"], array.astype(float).ravel())
    assert page.evaluate("window.mini.options") == {"word": "press"}
    says = page.locator("[id='parts.widget'] .widget p")
    assert says.inner_text() == "1000 null false"
    page.locator("[id='parts.widget'] button", has_text="press").click()
    flush(page)
    assert says.inner_text() == "1000 2 false" and lit(page, "spec.spectrum", 2) == [1]
    go(page, 31)
    assert says.inner_text() == "31 2 false"
    page.evaluate("window.mini.api.select('step', 120)")
    assert flush(page) == 100, "the nearest of the page's steps"
