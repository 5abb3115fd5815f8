"""The page of a run from Python, and the flags that each kind of page takes."""

import re
from pathlib import Path
from typing import Any

import pytest
from oracles.handmade import handmade_run


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return handmade_run(tmp_path_factory.mktemp("runs"))


def command(*argv):
    from interp.report import main

    return main([str(arg) for arg in argv])


def test_python_and_the_command_write_the_same_page(path, tmp_path, capsys):
    from interp import open_run
    from interp.pages.run import report

    assert command(path, "--out", tmp_path / "shell", "--only", "norms,curves", "--quiet") == 0
    capsys.readouterr()
    page = report(path, tmp_path / "python", only=("curves", "norms"))
    assert page == tmp_path / "python/index.html"
    assert page.read_bytes() == (tmp_path / "shell/index.html").read_bytes()
    assert report(open_run(path), tmp_path / "run", only=["norms", "curves"]).read_bytes() == page.read_bytes()
    assert report(path, tmp_path / "less", only=["norms"]).read_bytes() != page.read_bytes()  # control
    assert capsys.readouterr() == ("", "")


def test_key_frequencies_of_the_run_or_of_the_call(path, tmp_path, monkeypatch):
    import interp.pages.run as run_page
    from interp import open_run
    from interp.html.blocks import Text
    from interp.parts.keyfreqs import key_freqs
    from interp.sections import Section

    def keys(run) -> list[Any]:
        return [Text(f"key frequencies {key_freqs(run).ks}")]

    def shown(*args, **kwargs):
        return re.findall(r"key frequencies (.*?)<", run_page.report(*args, **kwargs).read_text())

    monkeypatch.setattr(run_page, "SECTIONS", [Section("keys", "Keys", keys)])
    monkeypatch.chdir(tmp_path)
    run = open_run(path, key_freqs=[4, 7])
    assert shown(run) == ["(4, 7)"] and (tmp_path / "reports" / path.name / "index.html").is_file()
    assert shown(run, key_freqs=[5]) == ["(5,)"]
    assert shown(path) == [str(key_freqs(open_run(path)).ks)] != ["(4, 7)"]  # control


def test_errors_from_python_are_those_of_the_command(path, tmp_path, capsys):
    from interp.pages.run import report
    from train.errors import UsageError

    for argv, call in (
        ((path, "--only", "spectrum"), {"run": path, "only": ["spectrum"]}),
        ((path, "--key-freqs", 12), {"run": path, "key_freqs": [12]}),
        ((tmp_path / "none",), {"run": tmp_path / "none"}),
    ):
        assert command(*argv, "--out", tmp_path / "page") == 2
        with pytest.raises(UsageError) as error:
            report(out=tmp_path / "page", **call)
        assert capsys.readouterr().err == f"error: {error.value}\n"
    assert not (tmp_path / "page").exists()


def test_a_section_that_fails_is_told_and_the_path_is_returned(path, tmp_path, capsys, monkeypatch):
    import interp.pages.run as run_page
    from interp.sections import Section

    def broken(run):
        raise RuntimeError("boom")

    monkeypatch.setattr(run_page, "SECTIONS", [Section("norms", "Weight norms", broken)])
    page = run_page.report(path, tmp_path)
    assert "This section failed: RuntimeError" in page.read_text() and "boom" in (tmp_path / "errors.txt").read_text()
    assert "section norms failed: RuntimeError: boom" in capsys.readouterr().err


def test_every_kind_of_page_is_listed_and_the_last_takes_everything(tmp_path):
    import interp.pages as pages

    files = Path(str(pages.__file__)).parent.glob("*.py")
    modules = {path.stem for path in files if re.search(r"^KIND = ", path.read_text(), re.MULTILINE)}
    assert sorted(kind.build.__module__ for kind in pages.PAGES) == sorted(f"interp.pages.{name}" for name in modules)
    assert [kind.recognises(tmp_path / "nothing") for kind in pages.PAGES] == [False] * (len(modules) - 1) + [True]


def test_flags_are_fields_of_the_options_and_refused_where_they_mean_nothing():
    from interp.pages import PAGES
    from interp.report import Options, _own_flags
    from train.errors import UsageError

    values = {"only": ("norms",), "key_freqs": (3,), "with_runs": True, "timings": True}
    assert {flag for kind in PAGES for flag in kind.flags} == {*values, "quiet"}
    for kind in PAGES:
        assert _own_flags(Options(), kind, PAGES).keys() == set(kind.flags)
        for name, value in values.items():
            options, flag = Options(**{name: value}), f"--{name.replace('_', '-')}"
            if name in kind.flags:
                assert _own_flags(options, kind, PAGES)[name] == value
                continue
            with pytest.raises(
                UsageError, match=f"{flag} is for .*this is the report of {kind.what}: leave out {flag}"
            ):
                _own_flags(options, kind, PAGES)


def test_seconds_of_each_section_are_printed_once_the_page_is_written(path, tmp_path, capsys, monkeypatch):
    import time

    import interp.pages.run as run_page
    from interp.sections import Section

    def sleepy(run) -> list[Any]:
        time.sleep(0.2)
        return []

    def busy(run) -> list[Any]:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
        return []

    monkeypatch.setattr(run_page, "SECTIONS", [Section("sleepy", "Sleepy", sleepy), Section("busy", "Busy", busy)])
    page = run_page.report(path, tmp_path / "page", timings=True)
    head, *rows, total = capsys.readouterr().err.splitlines()
    assert head.split() == ["seconds", "CPU", "seconds"]
    seconds = {row.split()[0]: [float(value) for value in row.split()[1:]] for row in rows}
    assert list(seconds) == ["(opening)", "sleepy", "busy", "(writing)"]
    assert seconds["sleepy"][0] >= 0.2 > 0.1 >= seconds["sleepy"][1] and seconds["busy"][1] >= 0.2
    assert float(total.split()[1]) == pytest.approx(sum(row[0] for row in seconds.values()), abs=0.3)
    assert run_page.report(path, tmp_path / "again", timings=False).read_bytes() == page.read_bytes()
    assert capsys.readouterr().err == ""  # control


def test_progress_names_each_section(path, tmp_path, capsys, monkeypatch):
    from interp.pages.run import report

    report(path, tmp_path / "page", only=["norms", "curves"], quiet=False)
    assert capsys.readouterr().err.splitlines()[:2] == ["What happened ...", "When: weight norms ..."]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    report(path, tmp_path / "page", only=["norms", "curves"], quiet=False)
    assert "2/2" in capsys.readouterr().err


def test_sections_are_built_with_one_thread_an_operation(path, tmp_path, monkeypatch):
    import torch

    import interp.pages.run as run_page
    from interp.sections import Section

    counts = []

    def count(run) -> list[Any]:
        counts.append(torch.get_num_threads())
        torch.set_num_threads(3)  # as libraries do when they are imported
        return []

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(run_page, "SECTIONS", [Section("one", "One", count), Section("two", "Two", count)])
        run_page.report(path, tmp_path / "page")
        assert counts == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
