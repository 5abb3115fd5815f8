"""The checks of pages, on pages made to fail them one by one, and on the small page of every kind of panel."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import OpenedPage, launched, opened_in
from tests.pagechecks import WINDOWS, axe, bad_words, everything, on_paper, unfold, words


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def blank(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("blank") / "index.html"
    path.write_text("<!doctype html><html lang=en><title>t</title><main><h1>t</h1></main>")
    with opened_in(browser, path) as opened:
        yield opened.page


@pytest.fixture(scope="module")
def mini_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenedPage]:
    from interp.html.render import render_page
    from tests.minipage import mini

    path = tmp_path_factory.mktemp("mini") / "index.html"
    path.write_text(render_page(mini()))
    with opened_in(browser, path) as opened:
        yield opened
        assert (opened.problems, opened.requests) == ([], [])


def checked(page: Page, body: str) -> dict[str, list[str]]:
    page.evaluate("(body) => { document.querySelector('main').innerHTML = body }", body)
    return {kind: lines for kind, lines in words(page).items() if kind != "seen" and lines}


AT = "position: absolute; line-height: 20px; font-size: 16px; white-space: nowrap"
DRAWING = "<svg style='position: absolute; top: 0' width=200 height=400>"


@pytest.mark.parametrize(
    "apart",
    [
        "<p style='{AT}; left: 0; top: {top}px'>one</p><p style='{AT}; left: 4px; top: 200px'>two</p>",
        DRAWING + "<text y={top} x=9>one</text><text y=200 x=12>two</text></svg>",
        DRAWING + "<text y={top} x=9>one</text></svg><p style='{AT}; left: 9px; top: 188px; margin: 0'>two</p>",
    ],
)
def test_overlapping_texts_are_found(blank: Page, apart: str):
    near = apart.replace("{AT}", AT).replace("{top}", "195")
    found = checked(blank, near)
    assert set(found) == {"overlaps"} and '"one" and "two"' in found["overlaps"][0] + found["overlaps"][0].replace(
        '"two" and "one"', '"one" and "two"'
    )
    assert checked(blank, apart.replace("{AT}", AT).replace("{top}", "150")) == {}, "control: apart"


def test_texts_that_nobody_sees_do_not_overlap(blank: Page):
    two = "<p style='{AT}; left: 0; top: 200px'>one</p><p style='{AT}; left: 4px; top: 205px; {more}'>two</p>"
    for more in ("display: none", "visibility: hidden", "opacity: 0"):
        assert checked(blank, two.replace("{AT}", AT).replace("{more}", more)) == {}
    cut = "<div style='overflow: hidden; height: 10px'><p style='line-height: 40px; margin: 0'>one</p></div>"
    cut += f"<p style='{AT}; left: 0; top: 60px'>two</p>"
    assert checked(blank, cut) == {}, "what a scrolling part hides is not there"


def test_texts_outside_of_their_panel_are_found(blank: Page):
    line = "<p style='white-space: nowrap; margin: 0'>{}</p>"
    figure = f"<figure style='position: absolute; left: 50px; width: 100px'>{line}</figure>"
    assert set(checked(blank, figure.format("a long line of words that goes on"))) == {"outside"}
    assert checked(blank, figure.format("short")) == {}, "control"


@pytest.mark.parametrize(
    ("style", "is_faint"),
    [
        ("color: #777", True),  # 4.48
        ("color: #767676", False),  # 4.54
        ("color: #949494; font-size: 24px", False),  # 3.03
        ("color: #969696; font-size: 24px", True),  # 2.96
        ("color: #949494; font-size: 19px; font-weight: 700", False),
        ("color: #949494; font-size: 19px", True),
        ("color: #000; opacity: 0.4", True),
        ("color: rgb(0 0 0 / 50%)", True),
        ("color: #fff; background: #777", True),
        ("color: #fff; background: #767676", False),
        ("color: #fff; background: color-mix(in srgb, #000 80%, white)", False),
    ],
)
def test_the_contrast_of_texts_is_that_of_the_standard(blank: Page, style: str, is_faint: bool):
    """Against greys whose contrast on white is known: #767676 has 4.54, #777777 has 4.48."""
    assert set(checked(blank, f"<p style='{style}'>words</p>")) == ({"faint"} if is_faint else set())


def test_the_contrast_of_texts_in_drawings_is_against_what_is_painted_under_them(blank: Page):
    plot = (
        "<div class=plot style='position: relative; height: 100px'>"
        "<canvas width=200 height=100 style='position: absolute'></canvas>"
        "<svg width=200 height=100 style='position: absolute'><text x=20 y=50 fill='{}'>words</text></svg></div>"
    )
    for ink, is_faint in (("#000", True), ("#fff", False)):
        checked(blank, plot.format(ink))
        blank.evaluate("""() => {
          const ctx = document.querySelector('canvas').getContext('2d', { willReadFrequently: true });
          ctx.fillStyle = '#222';
          ctx.fillRect(0, 0, 200, 100);
        }""")
        assert bool(words(blank)["faint"]) is is_faint
    assert set(checked(blank, plot.format("#fff"))) == {"faint"}, "control: nothing is painted"


def test_axe_finds_what_is_wrong(blank: Page):
    checked(blank, "<h1>t</h1><button></button><img src='data:,'>")
    found = "\n".join(axe(blank))
    assert "button-name" in found and "image-alt" in found
    checked(blank, "<h1>t</h1><button>press</button>")
    assert axe(blank) == [], "control"


# --- the small page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_small_page_is_legible_and_accessible(mini_page: OpenedPage, window, scheme):
    page = mini_page.page
    width, height = WINDOWS[window]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.evaluate("window.page.select('k', 2); window.page.select('a', 3)")
    unfold(page)
    assert bad_words(page) == []
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_small_page_is_legible_on_paper(mini_page: OpenedPage):
    page = mini_page.page
    page.emulate_media(color_scheme="dark")
    unfold(page)
    on_paper(page, True)
    found = bad_words(page)
    on_paper(page, False)
    assert found == []


@pytest.mark.slow
def test_everything_finds_a_fault_of_each_kind(browser: Browser, tmp_path: Path):
    from interp.html.render import render_page
    from tests.minipage import mini

    path = tmp_path / "index.html"
    html = render_page(mini())
    path.write_text(html.replace("</style>", ".takeaway { color: #999; margin-bottom: -3rem; }</style>"))
    with opened_in(browser, path) as opened:
        found = "\n".join(everything(opened))
    assert "desktop, light: overlaps" in found and "phone, light: faint" in found and "paper: overlaps" in found
