from pathlib import Path

import pytest

from tests.browser import launched, opened


def test_complaints_and_requests_are_written_down(tmp_path: Path):
    control = tmp_path / "control.html"
    control.write_text(
        "<!doctype html><script>console.warn('one'); setTimeout(() => { throw Error('two') })</script>"
        "<img src='https://example.org/three.png'><img src='data:,'>"
    )
    with opened(control) as page:
        page.page.wait_for_timeout(200)
        seen = "\n".join(page.problems)
        assert all(word in seen for word in ("warning: one", "pageerror: two", "requestfailed: https://example.org"))
        assert page.requests == ["https://example.org/three.png"]


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("0", pytest.skip.Exception)])
def test_without_a_browser_tests_are_skipped_or_fail(required, outcome, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("REQUIRE_BROWSER", required)
    with pytest.raises(outcome, match="install Chromium"), launched():
        pass
