"""A user's first minutes: train ``quick``, build its report, open it in a browser, type the documented REPL lines."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A directory in which the commands of the README trained and reported the quick run."""
    folder = tmp_path_factory.mktemp("user")
    trained = command(folder, "train.run", "--preset", "quick")
    reported = command(folder, "interp.report", trained.splitlines()[-1])
    return folder, trained, reported


def command(folder, module, *argv):
    """Standard output of ``python -m module argv`` in ``folder``; the command must succeed."""
    done = subprocess.run([sys.executable, "-m", module, *argv], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_quick_groks_and_says_so(workplace):
    folder, trained, _ = workplace
    *_, summary, path = trained.splitlines()
    assert (folder / path / "DONE").exists()
    assert re.fullmatch(r"checkpoints/add-p53-s0-[0-9a-f]{8}", path)
    steps = [int(n.replace(",", "")) for n in re.findall(r"accuracy between steps [\d,]+ and ([\d,]+)", summary)]
    assert len(steps) == 2, summary
    assert steps[0] < steps[1] < 2_000  # it memorised before it generalised


def test_report_is_one_small_file(workplace):
    folder, _, reported = workplace
    page = folder / reported.splitlines()[-1]
    assert page.name == "index.html"
    assert page.stat().st_size < 8_000_000
    assert sorted(p.name for p in page.parent.iterdir()) == ["index.html"]


def test_report_in_a_browser(workplace):
    """The report opens without an error or a request, is legible, and the slider changes the data of every panel."""
    from browser import opened
    from pagechecks import everything

    folder, _, reported = workplace
    with opened(folder / reported.splitlines()[-1]) as open_page:
        page = open_page.page
        snapshot = """async () => {
            await window.page.flush();
            const [shown, plain] = [{}, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v)];
            for (const [id, panel] of window.page.panels)
                if (panel.shown) shown[id] = JSON.stringify(panel.shown, plain);
            return shown;
        }"""
        at_end = page.evaluate(snapshot)
        find_still = "[...window.page.panels].filter(([, p]) => p.shown && !p.figure.steps.length).map(([id]) => id)"
        still = set(page.evaluate(find_still))
        assert len(at_end) > 20 and len(still) < 3
        slider = page.locator("input[type=range]")
        slider.focus()
        page.keyboard.press("Home")
        at_start = page.evaluate(snapshot)
        unchanged = [name for name in at_end if at_end[name] == at_start[name]]
        assert set(unchanged) == still
        page.keyboard.press("End")
        assert page.evaluate(snapshot) == at_end  # and back
        assert everything(open_page) == []
        assert open_page.problems == []
        assert open_page.requests == []


PAGES = sorted(
    path.relative_to(ROOT)
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if "```python\n>>> " in path.read_text()
)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_repl_lines_of_the_pages(page, workplace, monkeypatch):
    """The REPL lines of a documentation page run in order, in the folder of the quick run."""
    folder, _, _ = workplace
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(>>> .*?)```", (ROOT / page).read_text(), flags=re.S)
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, str(page), None, 0)
    assert len(parsed.examples) > 3
    runner = doctest.DocTestRunner()
    runner.run(parsed)
    assert runner.failures == 0


def test_control_the_doctest_can_fail():
    parsed = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "control", None, 0)
    runner = doctest.DocTestRunner()
    with open(os.devnull, "w") as sink:  # noqa: PTH123 - a sink, not a file
        runner.run(parsed, out=sink.write)
    assert runner.failures == 1
