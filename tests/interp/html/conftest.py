"""One browser a file, and one opened copy of the small page of ``minipage``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import OpenedPage, launched, opened_in


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def mini_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from interp.html.render import render_page
    from tests.minipage import mini

    path = tmp_path_factory.mktemp("mini") / "index.html"
    path.write_text(render_page(mini()))
    return path


@pytest.fixture(scope="module")
def opened_mini(browser: Browser, mini_path: Path) -> Iterator[OpenedPage]:
    with opened_in(browser, mini_path) as opened:
        yield opened


@pytest.fixture
def small(opened_mini: OpenedPage) -> Iterator[OpenedPage]:
    """The small page at its last step with nothing selected, drawn; none of its tests may make it complain."""
    opened_mini.page.evaluate("""() => {
      for (const name of ["k", "a", "b"]) window.page.select(name, null);
      window.page.go(1000);
      return window.page.flush();
    }""")
    yield opened_mini
    assert (opened_mini.problems, opened_mini.requests) == ([], [])
