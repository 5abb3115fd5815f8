"""Pages in a headless Chromium: opened from disk, without a network, with every error and request recorded."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
]


@dataclass(frozen=True)
class OpenedPage:
    """A loaded page, the errors that the browser reported, and the requests besides the file itself."""

    page: Page
    problems: list[str]
    requests: list[str]


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where there is none (REQUIRE_BROWSER=1: it fails)."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        give_up = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
        give_up(f"no browser: none of {', '.join(NAMES)} is on the PATH; install Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, headless=True, chromium_sandbox=False, args=ARGS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened_in(
    browser: Browser,
    path: Path,
    fragment: str = "",
    scheme: str = "light",
    size: tuple[int, int] = (1280, 900),
) -> Iterator[OpenedPage]:
    """The file at `path` in a context of its own: offline, in that colour scheme and window size (pixels)."""
    address = path.resolve().as_uri()
    harmless = (address, "data:", "blob:")
    context = browser.new_context(
        offline=True,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        viewport={"width": size[0], "height": size[1]},
    )
    page = context.new_page()
    problems: list[str] = []
    requests: list[str] = []
    page.on(
        "console",
        lambda m: problems.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: problems.append(f"pageerror: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"requestfailed: {request.url}"))
    page.on("request", lambda r: None if r.url.startswith(harmless) else requests.append(r.url))
    try:
        page.goto(address + fragment)
        yield OpenedPage(page, problems, requests)
    finally:
        context.close()


def wait_until(page: Page, expression: str, timeout_s: float = 10.0) -> None:
    """Wait until the script `expression` is true (Playwright's own wait needs eval, which pages forbid)."""
    end = time.monotonic() + timeout_s
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"not true after {timeout_s} s: {expression}"
        page.wait_for_timeout(20)


@contextmanager
def opened(path: Path) -> Iterator[OpenedPage]:
    """The file at `path` in a browser of its own; skips or fails as `launched` does."""
    with launched() as browser, opened_in(browser, path) as page:
        yield page
