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

    values = {"only": ("norms",), "key_freqs": (3,), "with_runs": True}
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
