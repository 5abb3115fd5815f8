"""Checks of an opened page: accessibility by axe-core, contrast of every text, and texts that overlap or leave a panel.

They look at the page as it stands: its window, colour scheme, media, and what is drawn by then.
"""

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser import OpenedPage

SCRIPT = (Path(__file__).parent / "pagechecks.js").read_text()
WINDOWS = {"desktop": (1280, 800), "phone": (390, 844)}
UNDECIDED = {"color-contrast"}
"""Rules that axe may leave undecided: of texts over pictures, whose contrast ``words`` computes."""


def words(page: Page) -> dict[str, Any]:
    """What is wrong with the texts of a page, as lists of lines: overlaps, outside (of their panel) and faint.

    ``seen`` is the number of texts whose contrast was computed.
    """
    return page.evaluate(SCRIPT)


def bad_words(page: Page) -> list[str]:
    """Lines on all that is wrong with the texts of a page."""
    found = words(page)
    assert found["seen"] > 0
    return [f"{kind}: {line}" for kind in ("overlaps", "outside", "faint") for line in found[kind]]


def axe(page: Page) -> list[str]:
    """Lines on what axe-core finds wrong, and on what it cannot decide beside contrast."""
    found = Axe().run(page).response
    lines = []
    for kind in ("violations", "incomplete"):
        for rule in found[kind]:
            if kind == "incomplete" and rule["id"] in UNDECIDED:
                continue
            nodes = "; ".join(node["html"][:120] for node in rule["nodes"][:4])
            lines.append(f"{kind}: {rule['id']} ({len(rule['nodes'])} places): {rule['help']}: {nodes}")
    return lines


def unfold(page: Page) -> None:
    """Open every folded part and draw everything."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.setAttribute('open', ''))")
    page.evaluate("window.page.flush()")
    page.wait_for_timeout(150)


def on_paper(page: Page, is_on: bool) -> None:
    """Let the page look as it is printed, or as on a screen again."""
    if is_on:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 1000})  # A4 less the margins of print.css
    else:
        page.emulate_media(media="null")
        page.evaluate("dispatchEvent(new Event('afterprint'))")


def everything(opened: OpenedPage) -> list[str]:
    """All checks of a page, folded parts open: light and dark, desktop and phone, and paper. Lines on what is wrong."""
    page, found = opened.page, []
    for window, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            unfold(page)
            found += [f"{window}, {scheme}: {line}" for line in [*bad_words(page), *axe(page)]]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{window}, {scheme}: the page is wider than the window")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
    unfold(page)
    on_paper(page, True)
    found += [f"paper: {line}" for line in bad_words(page)]
    on_paper(page, False)
    page.set_viewport_size({"width": 1280, "height": 800})
    return found + [f"console: {line}" for line in opened.problems] + [f"request: {line}" for line in opened.requests]
