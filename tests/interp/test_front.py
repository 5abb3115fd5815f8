"""The public names of interp, and the figures and tables of a run beside those of its report."""

import ast
import base64
import importlib
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from oracles.handmade import handmade_run

ROOT = Path(__file__).parent.parent.parent
P, KEYS = 23, (3, 5, 9)
HOSTILE = 'a<b>&\'"quoted" ü'
STEPS = [0, 10, 100, 1000, 10000]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), P, KEYS))


def unpacked(sent: dict) -> np.ndarray:
    """A second implementation of how the page's script unpacks the values of a track."""
    codes = np.frombuffer(base64.b64decode(sent["b64"]), "<" + sent["dtype"]).reshape(sent["shape"])
    if sent["dtype"] == "f4":
        return codes
    top = {"u1": 254, "u2": 65534}[sent["dtype"]]
    values = sent["lo"] + (sent["hi"] - sent["lo"]) * codes.astype(float) / top
    return np.where(codes > top, np.nan, values)


def half_a_step(sent: dict) -> float:
    """The largest rounding error of a packed value."""
    if sent["dtype"] == "f4":
        return 1e-6
    return 0.51 * (sent["hi"] - sent["lo"]) / {"u1": 254, "u2": 65534}[sent["dtype"]] + 1e-9


def attribute(trace: Any, path: str) -> np.ndarray:
    for name in path.split("."):
        trace = trace[name]
    return np.asarray(trace, float)


# --- figures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spectra.W_E", "spectra.W_L", "grid.answers", "logits.by_answer", "norms.frobenius"])
def test_a_figure_holds_what_the_report_s_panel_shows(run, name):
    """A figure equals the report's panel at every step, by the page's tracks, decoded as in the page's script."""
    from interp.html.tracks import figure_data
    from interp.sections import SECTIONS

    section, _, id = name.partition(".")
    build = next(s.build for s in SECTIONS if s.id == section)
    panel: Any = next(b for b in build(run) if getattr(b, "id", None) == id)
    sent, moved = figure_data(panel.fig, panel.tracks), False
    assert panel.steps and sent["tracks"]
    for i, step in enumerate(panel.steps):
        fig = run.figure(name, step=step)
        for track in sent["tracks"]:
            values, shown = unpacked(track), attribute(fig.data[track["trace"]], track["attr"])
            np.testing.assert_allclose(shown, values[i], rtol=1e-6, atol=half_a_step(track))
            moved |= not np.allclose(shown, values[0], rtol=1e-6, atol=half_a_step(track))
        assert f"step {step:,}" in fig.layout.title.text and panel.heading in fig.layout.title.text
    assert moved  # control: values of another step are told apart
    assert run.figure(name).to_json() == run.figure(name, step=panel.steps[-1]).to_json()


def test_a_figure_at_a_step_it_lacks_shows_the_nearest_and_says_so(run):
    fig = run.figure("spectra.W_E", step=5000)
    assert "step 10,000, nearest to 5,000" in fig.layout.title.text
    assert fig.data[2].y.tolist() == run.figure("spectra.W_E", step=10000).data[2].y.tolist()


def test_only_the_section_asked_for_is_built_and_once(run, monkeypatch):
    from interp.front import Run
    from interp.sections import SECTIONS

    calls = []

    def counted(section):
        build = section.build
        return lambda run: calls.append(section.id) or build(run)

    for section in SECTIONS:
        monkeypatch.setitem(section.__dict__, "build", counted(section))
    fresh = Run(run.store)
    first: Any = fresh.figure("spectra.W_E")
    fresh.figure("spectra.W_U", 10)
    assert fresh.figure("spectra.W_E").to_json() == first.to_json()
    assert calls == ["spectra"]
    first.data[2].y = first.data[2].y * 0  # a caller may change its figure
    again: Any = fresh.figure("spectra.W_E")
    assert again.data[2].y.sum() > 0


def test_a_range_shows_the_run_as_it_was(run):
    assert "step 100" in run[0:101].figure("spectra.W_E").layout.title.text
    assert "step 100, nearest to 10,000" in run[0:101].figure("spectra.W_E", 10_000).layout.title.text


@pytest.mark.parametrize(
    ("name", "step", "message"),
    [
        ("spectra.WE", None, r"unknown figure 'spectra.WE'; did you mean 'spectra.W_E'\?; run.figures\(\) lists"),
        ("overview.numbers", None, "unknown figure 'overview.numbers'"),
        ("", None, "unknown figure ''"),
        ("spectra.W_E", -1, "a step is 0 or more; got -1"),
        ("spectra.W_E_b", None, "no figure 'spectra.W_E_b': section spectra has W_E, W_U, W_L"),
        ("neurons.any", 10, "'neurons.any' does not change with the step: leave out step = 10"),
    ],
)
def test_figures_that_are_not_there_are_refused_with_the_reason(run, name, step, message, monkeypatch):
    from train.errors import UsageError

    if name == "neurons.any":
        from interp.sections import neurons

        monkeypatch.setattr(neurons, "build", neurons._any_neuron)
        run.kept[("interp.front", "neurons")] = neurons._any_neuron(run)
    with pytest.raises(UsageError, match=message) as error:
        run.figure(name, step)
    assert "\n" not in str(error.value)


def test_what_the_section_says_is_the_reason(tmp_path):
    from interp import open_run
    from train.errors import UsageError

    run = open_run(handmade_run(tmp_path, P, KEYS, scales=(0.0, 0.0)))
    with pytest.raises(UsageError, match="no figure 'keyfreqs.shares': Not shown: no frequency holds 1%"):
        run.figure("keyfreqs.shares")
    with pytest.raises(UsageError, match="has no snapshots to show"):
        run[5:6].figure("spectra.W_E")


# --- tables ---------------------------------------------------------------------------------------------


def test_tables_are_the_report_s_own(run):
    from interp.sections import overview

    numbers: Any = overview.build(run)[2]
    frame = run.table("overview.numbers")
    assert frame.equals(numbers.frame)
    frame.loc[0, "value"] = "changed"
    assert run.table("overview.numbers").equals(numbers.frame)  # a caller may change its frame
    by_name = frame.set_index("quantity")["value"]
    assert by_name["snapshots"] == 5 and by_name["defined rows"] == P * P
    assert set(run.table("overview.config")["field"]) >= {"op", "p", "lr"}


def test_tables_of_measures_are_tidy(run):
    frame = run[0:1001].table("W_E_frobenius" if "W_E_frobenius" in run.tables() else "logit_cos")
    assert frame.columns.tolist() == ["step", "measure", "k", "irrep", "value", "unit"]
    assert frame["step"].unique().tolist() == STEPS[:4]
    share = run.table("logit_cos").query("step == 10000").set_index("k")["value"] ** 2
    assert sorted(share.nlargest(3).index) == list(KEYS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("overview.number", "unknown table 'overview.number'; did you mean 'overview.numbers'"),
        ("spectra.W_E", "unknown table 'spectra.W_E'"),
        ("logit_co", "unknown table 'logit_co'; did you mean 'logit_cos'"),
        ("circularity_b", "has no circularity_b: both operands have the same embedding"),
    ],
)
def test_tables_that_are_not_there_are_refused_with_the_reason(run, name, message):
    from train.errors import UsageError

    with pytest.raises(UsageError, match=message):
        run.table(name)


REFUSED = {
    "run.figure(5)": "unknown figure 5; run.figures() lists them all",
    "run.table(5)": "unknown table 5; run.tables() lists them all",
    "run.figure('spectra.W_E', '10')": "a step is a whole number; got '10': use run.figure('spectra.W_E', step=1000)",
    "run.nearest('10')": "a step is a whole number; got '10': use run[1000], run[0:1000] or run.nearest(1000)",
    "run.nearest(True)": "a step is a whole number; got True: use run[1000], run[0:1000] or run.nearest(1000)",
    "open_run(home, key_freqs=3)": "key_freqs is a list of whole numbers such as [3, 4]; got 3",
    "open_run(home, key_freqs='34')": "key_freqs is a list of whole numbers such as [3, 4]; got '34'",
    "open_run(home, key_freqs=[1.5])": "key_freqs is a list of whole numbers such as [3, 4]; got [1.5]",
    "open_run(5)": "a run is opened by its directory or by the beginning of its name; got 5",
    "open_run(run)": "a run is opened by its directory or by the beginning of its name; got <Run",
}


def test_values_of_other_types_are_refused_in_one_line(run):
    """Arguments of wrong types are refused in one line, in a process without the type checks of the tests."""
    script = (
        "from interp import open_run\n"
        "from train.errors import UsageError\n"
        f"home = {str(run.path)!r}\n"
        "run = open_run(home, key_freqs=[3])\n"
        f"for call, message in {REFUSED!r}.items():\n"
        "    try:\n        raise SystemExit(f'{call} gives {eval(call)}')\n"
        "    except UsageError as error:\n        assert str(error).startswith(message), (call, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


# --- the page -------------------------------------------------------------------------------------------


def test_a_report_is_a_page_and_shows_itself_as_a_link(run, tmp_path, monkeypatch, capfd):
    from train.errors import UsageError

    monkeypatch.chdir(tmp_path)
    for out, folder in (
        (None, Path("reports") / run.name),
        (HOSTILE, Path(HOSTILE)),
        (tmp_path / "x y", tmp_path / "x y"),
    ):
        page = run.report(out, only=["curves"])
        assert str(page) == str(folder / "index.html") and Path(page) == folder / "index.html"
        assert Path(page).read_text().startswith("<!doctype html>")
        html = page._repr_html_()
        links = re.fullmatch(r'<a href="([^"<>]*)" target="_blank" rel="noopener">([^<>]*)</a>', html)
        assert links is not None and Path(unquote(unescape(links[1]))).read_text() == Path(page).read_text()
        assert unescape(links[2]) == str(page)
    assert capfd.readouterr() == ("", "")
    monkeypatch.chdir(tmp_path / "reports")
    assert 'href="file:///' in run.report(tmp_path / "far", only=["curves"])._repr_html_()
    with pytest.raises(UsageError, match="unknown section 'curve'; did you mean 'curves'"):
        run.report(only="curve")
    with pytest.raises(UsageError, match=r"this one is restricted: use open_run\("):
        run[0:100].report()


def test_the_report_has_the_sections_asked_for_and_the_key_frequencies_given(run, tmp_path):
    from interp import open_run

    given = open_run(run.path, key_freqs=[3])
    text = Path(given.report(tmp_path / "a", only=["keyfreqs"])).read_text()
    assert 'id="keyfreqs"' in text and 'id="curves"' not in text
    assert "Share of the logits" in text and "k = 3" in text


# --- names ----------------------------------------------------------------------------------------------


def test_every_block_of_a_section_has_an_id_of_the_section_s_list():
    """Ids in the source of a section are those of its list; none is built from text that may change."""
    from interp import sections

    for section in sections.SECTIONS:
        tree = ast.parse((ROOT / f"interp/sections/{section.id}.py").read_text())
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) in ("Figure", "Table")]
        ids = [next((k.value for k in call.keywords if k.arg == "id"), None) for call in calls]
        assert None not in ids, f"give every Figure and Table of {section.id} an id"
        literal = {node.value for node in ids if isinstance(node, ast.Constant)}
        listed = {*section.figures, *section.tables}
        assert literal <= listed, f"list them in FIGURES or TABLES of {section.id}"
        assert not set(section.figures) & set(section.tables)
        if len(literal) == len(ids):
            assert literal == listed, f"no block of {section.id} has such an id"


@pytest.mark.parametrize("id", ["progress", "curves"])
def test_ids_that_are_computed_are_listed_too(run, id):
    from interp.html.blocks import by_id
    from interp.sections import SECTIONS

    section = next(s for s in SECTIONS if s.id == id)
    assert set(by_id(section.build(run))) == {*section.figures, *section.tables}


def test_names_are_section_and_id(run):
    figures, tables = run.figures(), run.tables()
    assert {"spectra.W_E", "curves.loss", "maps.umap", "progress.by_freq"} <= set(figures)
    assert {"overview.numbers", "progress.measures", "logit_fve", "circularity_b"} <= set(tables)
    assert not set(figures) & set(tables) and all([*figures.values(), *tables.values()])


def test_dir_lists_what_there_is_and_all_of_it_is_there():
    import interp

    names = [name for name in dir(interp) if not name.startswith("_")]
    assert names == sorted(interp.__all__) and {"open_run", "Run", "Snapshot", "key_freqs", "table"} <= set(names)
    assert set(interp._HOMES) <= set(names)
    for name in names:
        home = interp._HOMES.get(name)
        module = importlib.import_module(f"interp.{home or name}")
        assert getattr(interp, name) is (module if home is None else getattr(module, name))
    with pytest.raises(AttributeError, match="no attribute 'opne_run'; it has Run, Snapshot"):
        _ = interp.opne_run  # type: ignore[attr-defined]


def test_a_range_and_an_iterator_keep_the_front_s_class(run):
    import interp

    assert type(run) is type(run[0:11]) is type(run.last.run) is interp.Run
    assert run.__class__.__mro__[1].__module__ == "interp.runs.run"


def test_import_interp_is_light():
    script = "import sys, interp\ndir(interp)\nassert not {'torch', 'pandas', 'numpy', 'train'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
