"""Choosing in the page: steps, frequencies and tokens, by pointer and by keys, said in words and in the address."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.browser import OpenedPage, opened_in, wait_until
from tests.minipage import P
from tests.panels import click, flush, go, lit, picture, place, state

PAINTED = ("story.loss", "story.table", "story.circles", "spec.spectrum", "spec.lines", "im.images")


def pictures(page: Page) -> dict[str, str]:
    flush(page)
    return {id: picture(page, id) for id in PAINTED}


def changed(page: Page, before: dict[str, str]) -> set[str]:
    return {id for id, after in pictures(page).items() if after != before[id]}


def chips(page: Page) -> list[str]:
    return page.locator("#page\\.chosen .chip").all_inner_texts()


def status(page: Page) -> str:
    return page.locator("#page\\.status").inner_text()


# --- the pointer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("id", "trace", "y"), [("story.loss", 0, 1e-3), ("spec.spectrum", 0, 3)])
def test_a_click_on_curves_over_training_sets_the_step(small: OpenedPage, id, trace, y):
    page = small.page
    click(page, id, trace, 30, y)
    assert state(page)["step"] == 31
    click(page, id, trace, 0.5, y)
    assert state(page)["step"] == 0
    at = place(page, id, trace, 3, y)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(*place(page, id, trace, 90, y))
    page.mouse.move(*place(page, id, trace, 330, y))
    page.mouse.up()
    flush(page)
    assert state(page)["step"] == 310, "dragging goes on"
    page.mouse.move(*place(page, id, trace, 3, y))
    assert flush(page) == 310, "control: without a button nothing moves"


def test_a_bar_lights_its_frequency_in_every_panel_and_puts_it_out(small: OpenedPage):
    page, before = small.page, pictures(small.page)
    click(page, "spec.spectrum", 2, 3, 0.05)
    assert state(page)["k"] == 3 and chips(page) == ["frequency 3 ×"]
    assert changed(page, before) == {"spec.spectrum"}, "no line and no circle stands for 3"
    assert lit(page, "spec.spectrum", 2) == [2]
    click(page, "spec.spectrum", 2, 2, 0.05)
    assert state(page)["k"] == 2 and lit(page, "spec.spectrum", 2) == [1]
    assert changed(page, before) == {"spec.spectrum", "spec.lines"}
    whole = "[0, 1, 2].map((t) => window.page.panels.get('spec.lines').lit(t).whole)"
    assert page.evaluate(whole) == [False, True, False]
    click(page, "spec.spectrum", 2, 2, 0.05)
    assert state(page)["k"] is None and chips(page) == []
    assert changed(page, before) == set()
    assert page.evaluate(whole) == [None] * 3


def test_a_legend_entry_lights_its_frequency(small: OpenedPage):
    page, before = small.page, pictures(small.page)
    entry = page.locator("[id='spec.lines'] .legend button", has_text="k = 5")
    entry.click()
    flush(page)
    assert state(page)["k"] == 5 and entry.get_attribute("aria-pressed") == "true"
    assert lit(page, "spec.spectrum", 2) == [4] and changed(page, before) == {"spec.spectrum", "spec.lines"}
    entry.click()
    flush(page)
    assert state(page)["k"] is None and entry.get_attribute("aria-pressed") == "false"


def test_a_legend_entry_that_stands_for_nothing_hides_its_curve(small: OpenedPage):
    page, before = small.page, pictures(small.page)
    entry = page.locator("[id='story.loss'] .legend button", has_text="train")
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false" and changed(page, before) == {"story.loss"}
    with page.expect_download() as without:
        page.locator("[id='story.loss'] .csv").click()
    assert "train" not in without.value.path().read_text()
    entry.click()
    assert entry.get_attribute("aria-pressed") == "true" and changed(page, before) == set()


def test_a_point_lights_its_token_everywhere(small: OpenedPage):
    page, before = small.page, pictures(small.page)
    angle = 2 * np.pi * 2 * 4 / P
    click(page, "story.circles", 1, float(np.cos(angle)), float(np.sin(angle)))
    assert state(page)["a"] == 4 and chips(page) == ["a = token 4 ×"]
    assert [lit(page, "story.circles", t) for t in range(3)] == [[4]] * 3
    assert changed(page, before) == {"story.circles", "story.table", "im.images"}
    page.locator(".chip").click()
    flush(page)
    assert state(page)["a"] is None and changed(page, before) == set()


def test_a_cell_of_an_image_lights_a_row_and_a_column_of_every_image(small: OpenedPage):
    page, before = small.page, pictures(small.page)
    click(page, "im.images", 2, 7, 4)
    assert (state(page)["a"], state(page)["b"]) == (7, 4) and chips(page) == ["a = token 7 ×", "b = 4 ×"]
    assert changed(page, before) == {"story.circles", "story.table", "im.images"}
    click(page, "im.images", 1, 7, 4)
    assert (state(page)["a"], state(page)["b"]) == (None, None) and changed(page, before) == set()


def test_what_an_element_says_itself_goes_before_names_of_several(small: OpenedPage):
    """The table's rows stand for a and its columns for b, and both for tokens."""
    page = small.page
    click(page, "story.table", 0, 5, 2)
    assert (state(page)["a"], state(page)["b"]) == (2, 5)
    click(page, "story.table", 0, 5, 3)
    assert (state(page)["a"], state(page)["b"]) == (3, 5)
    click(page, "story.table", 0, 5, 3)
    assert (state(page)["a"], state(page)["b"]) == (None, None)


def test_what_is_lit_is_ringed_where_the_point_is(small: OpenedPage):
    """Pixels: a ring of the ink round the chosen token's point, and none round another."""
    page = small.page
    page.evaluate("window.page.select('a', 4)")
    flush(page)
    ring = """([id, trace, i]) => {
      const panel = window.page.panels.get(id);
      const box = panel.boxes.find((b) => panel.tracesIn(b).includes(trace));
      const { x, y } = panel.shown[trace];
      const at = [box.xs.pixel(x[i]) * panel.ratio, box.ys.pixel(y[i]) * panel.ratio];
      const radius = (3 * 1.35 + 2.5) * panel.ratio;
      const copy = document.createElement('canvas');
      [copy.width, copy.height] = [panel.live.width, panel.live.height];
      const ctx = copy.getContext('2d', { willReadFrequently: true });
      ctx.drawImage(panel.live, 0, 0);
      const dark = (turn) => {
        const [px, py] = [at[0] + radius * Math.cos(turn), at[1] + radius * Math.sin(turn)];
        const [r, g, b, alpha] = ctx.getImageData(Math.round(px - 0.5), Math.round(py - 0.5), 1, 1).data;
        return alpha > 100 && r + g + b < 200;
      };
      return [0, 1, 2, 3, 4, 5].filter(dark).length;
    }"""
    assert page.evaluate(ring, ["story.circles", 0, 4]) >= 5
    assert page.evaluate(ring, ["story.circles", 0, 9]) == 0, "control"


def test_hovering_says_the_numbers(small: OpenedPage):
    page = small.page
    page.mouse.move(*place(page, "spec.spectrum", 2, 2, 0.05))
    tip = page.locator(".tip")
    assert tip.is_visible()
    lines = tip.inner_text().split("\n")
    assert lines[:2] == ["share at this step", "frequency k: 2"] and lines[2].startswith("share of squared norm: 0.")
    page.keyboard.press("Escape")
    assert not tip.is_visible()


# --- the keys -------------------------------------------------------------------------------------------


def test_keys_walk_along_what_can_be_chosen_and_choose(small: OpenedPage):
    page = small.page
    go(page, 0)
    page.mouse.move(0, 0)
    page.locator("[id='story.circles'] .plot").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert status(page).startswith("token 1, ") and page.locator(".tip").is_visible()
    page.keyboard.press("Enter")
    flush(page)
    assert state(page)["a"] == 1 and status(page) == "Selected: a = token 1"
    page.keyboard.press(" ")
    flush(page)
    assert state(page)["a"] is None and status(page) == ""
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    flush(page)
    assert state(page)["a"] == P - 1, "round the end, to the last circle's last point"
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible() and state(page)["step"] == 0


def test_keys_walk_along_the_steps_of_a_panel_with_a_cursor(small: OpenedPage):
    page = small.page
    page.locator("[id='story.loss'] .plot").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert flush(page) == 100
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert flush(page) == 1000, "no further than the end"
    page.locator("[id='spec.spectrum'] .plot").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    flush(page)
    assert state(page)["k"] == 2 and state(page)["step"] == 1000


def test_every_control_can_be_reached_and_pressed_by_keys(small: OpenedPage):
    page = small.page
    page.evaluate("window.page.select('k', 2)")
    flush(page)
    page.locator(".skip").focus()
    assert page.locator(".skip").bounding_box()["x"] >= 0, "the way past the bar is seen"  # type: ignore[index]
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("""() => {
          const { activeElement: e } = document;
          const ring = getComputedStyle(e).outlineStyle !== "none";
          return e === document.body ? null : [e.id || e.className || e.tagName.toLowerCase(), ring];
        }""")
        if name is None:
            break
        reached.append(name)
    assert all(ring for _, ring in reached), "the focus is seen"
    names = [name for name, _ in reached]
    assert names[:3] == ["page.play", "page.slider", "phase phase0"]
    for name, count in (("chip", 1), ("phase phase0", 1), ("closer", 6), ("csv", 7), ("plot painted", 6)):
        assert names.count(name) == count, name


def test_phases_are_buttons_that_go_to_their_ends(small: OpenedPage):
    page = small.page
    parts = page.locator(".phase")
    assert parts.all_inner_texts() == ["memorising", "between", "understood"]
    parts.nth(1).click()
    assert flush(page) == 310
    parts.nth(0).click()
    assert flush(page) == 10
    left = [
        part["left"]
        for part in page.evaluate("[...document.querySelectorAll('.phase')].map((p) => ({left: p.style.left}))")
    ]
    assert [float(value[:-1]) for value in left] == pytest.approx([0, 100 * 3 / 7, 100 * 6 / 7])


# --- the address ----------------------------------------------------------------------------------------


def test_the_address_says_what_is_shown_and_restores_it(small: OpenedPage, browser: Browser, mini_path: Path):
    page = small.page
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("window.page.select('k', 2); window.page.select('b', 0)")
    go(page, 31)
    wait_until(page, "location.hash.startsWith('#step=31&k=2&b=0')")
    with opened_in(browser, mini_path, "#step=100&k=5&a=3&at=spec") as again:
        flush(again.page)
        wait_until(again.page, "window.page.state.at === 'spec'")
        assert state(again.page) == {"step": 100, "at": "spec", "k": 5, "a": 3, "b": None}
        assert chips(again.page) == ["frequency 5 ×", "a = token 3 ×"] and lit(again.page, "spec.spectrum", 2) == [4]
        wait_until(again.page, "Math.abs(document.getElementById('spec').getBoundingClientRect().top) < 120")
        again.page.evaluate("location.hash = '#step=100&k=x&at=nothing'")
        wait_until(again.page, "window.page.state.k === null")
        assert (again.problems, again.requests) == ([], [])


def test_a_plain_anchor_moves_and_changes_nothing_else(small: OpenedPage):
    page = small.page
    go(page, 31)
    page.evaluate("window.page.select('k', 2)")
    flush(page)
    page.locator("nav a", has_text="Appendix").click()
    wait_until(page, "document.querySelector('#app details').open")
    assert state(page)["step"] == 31 and state(page)["k"] == 2
    page.locator("#app a", has_text="spectra").click()
    wait_until(page, "Math.abs(document.getElementById('spec').getBoundingClientRect().top) < 120")
    assert state(page)["step"] == 31 and state(page)["k"] == 2
    wait_until(page, "document.querySelector('nav [aria-current]')?.textContent === 'Spectra'")
