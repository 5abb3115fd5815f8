"""The site builds without a warning, makes no network request, and its pages open from the disk."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def outside(html: str) -> list[str]:
    """Addresses that a page loads by itself, without the links that a reader may follow."""
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", html)
    found = [re.search(r"""(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", tag) for tag in tags]
    return [match[1] for match in found if match]


def test_every_page_is_there_and_loads_nothing_from_outside(site):
    pages = sorted(site.rglob("*.html"))
    sources = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb")]
    assert len(pages) == len(sources) + 1  # and the page for what is not found
    for page in pages:
        assert outside(page.read_text()) == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", style.read_text()), style


def test_control_an_address_outside_is_seen():
    assert outside('<script src="https://a.b/c.js"></script><a href="https://d.e">f</a>') == ["https://a.b/c.js"]


def test_control_a_broken_link_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("[nowhere](missing.md)\n")
    settings = "site_name: a\nstrict: true\nvalidation: {links: {not_found: warn}}\n"
    (tmp_path / "mkdocs.yml").write_text(settings)
    assert build(tmp_path / "mkdocs.yml", tmp_path / "site").returncode != 0


def test_pages_in_a_browser(site):
    """Pages in light, dark and phone view: no error, no request, no sideways scrolling; figures and search work."""
    from browser import launched, opened_in, wait_until

    sizes = {"light": (1280, 900), "dark": (1280, 900), "phone": (390, 844)}
    with launched() as browser:
        for name in ("index", "reference/measures", "contributing", "notebooks/watch"):
            for look, size in sizes.items():
                with opened_in(browser, site / f"{name}.html", scheme=look, size=size) as open_page:
                    page = open_page.page
                    wait_until(page, "document.readyState === 'complete'")
                    if name == "notebooks/watch":
                        wait_until(page, "document.querySelectorAll('.gl-figure .main-svg').length >= 4")
                    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], (name, look)
                    assert open_page.problems == [], (name, look)
                    assert [r for r in open_page.requests if not r.startswith("file://")] == []
        with opened_in(browser, site / "guides/train.html") as open_page:
            open_page.page.locator(".md-search__input").first.click()
            open_page.page.keyboard.type("restricted")
            wait_until(open_page.page, "document.querySelectorAll('.md-search-result__item').length > 0")
