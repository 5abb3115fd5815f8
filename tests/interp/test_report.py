"""The report command: its files, messages and exit status."""

import pytest
from oracles.handmade import handmade_run


@pytest.fixture(autouse=True)
def quick_umap(monkeypatch):
    """Replace UMAP, which compiles for half a minute, by PCA; the end-to-end test runs the real one."""
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training

    monkeypatch.setattr(maps, "umap_beside", lambda rows: lambda: pca_over_training(rows)[0])


def report(*argv):
    from interp.report import main

    return main([str(arg) for arg in argv])


def test_report_of_a_run_and_of_its_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = handmade_run(tmp_path / "checkpoints")
    assert report(path) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"reports/{path.name}/index.html"
    html = (tmp_path / printed[-1]).read_text()
    assert "learns a + b mod 23" in html and "Spectrum of the embedding" in html
    assert len(html) < 8_000_000
    assert report("checkpoints", "--out", "again", "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["again/index.html"]
    assert captured.err == ""
    assert (tmp_path / "again/index.html").read_text() == html  # the same bytes twice


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arch": "mlp", "layout": "a b", "n_layers": 2}, "A two-operand MLP of two layers"),
        ({"op": "div", "n_layers": 2, "norm": "post", "positions": "sinusoidal"}, "discrete log"),
        ({"op": "compose", "group": "S3"}, "S3"),
        ({"op": "x2_xy_y2", "layout": "a b", "attention": "bidirectional"}, "x2_xy_y2-p11"),
    ],
    ids=["mlp", "two layers", "group", "no equals sign"],
)
def test_report_of_every_kind_of_trained_run(changes, says, tmp_path, tiny_config, train_run, capsys, quick_disk):
    """A run trained by the engine has a report with every section, and none failed."""
    from interp import open_run
    from interp.sections import SECTIONS
    from train.config.settings import override

    path = train_run(tmp_path / "runs", override(tiny_config, {**changes, "steps": 30})).path
    assert report(path, "--out", tmp_path / "r") == 0, capsys.readouterr().err
    html = (tmp_path / "r/index.html").read_text()
    for section in SECTIONS:
        assert section.title in html
    assert says in html
    run = open_run(path)
    logged = run.evaluations.set_index("step").loc[run.last.step]
    for subset in ("train", "test"):  # the model that is read is the model that was trained
        assert run.last.loss(subset) == pytest.approx(logged[f"{subset}_loss"], rel=1e-5)
    assert run[0].loss("train") != pytest.approx(logged["train_loss"], rel=1e-3)  # control


def test_several_runs_are_listed(tmp_path, capsys):
    first, second = handmade_run(tmp_path, p=23), handmade_run(tmp_path, p=19, keys=(2,))
    assert report(tmp_path) == 2
    error = capsys.readouterr().err
    assert first.name in error
    assert second.name in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "which run?"),
        (["nowhere/at-all"], "no run"),
        (["."], "holds none"),
        (["x", "--only", "spectrum"], "did you mean 'spectra'"),
    ],
)
def test_bad_input_is_one_line(argv, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report(*argv) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_corrupt_snapshot_is_left_out_and_named(tmp_path, capsys):
    path = handmade_run(tmp_path / "runs")
    broken = path / "steps/00000100.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert report(path, "--out", tmp_path / "r") == 3
    captured = capsys.readouterr()
    assert "00000100.safetensors is corrupt or truncated" in captured.err
    html = (tmp_path / "r/index.html").read_text()
    assert "Snapshots left out" in html
    assert "00000100.safetensors" in html
    assert "Spectrum of the embedding" in html  # the report went on


def test_section_that_raises_does_not_take_the_page(tmp_path, capsys, monkeypatch):
    from interp.sections import norms

    def broken(run):
        raise RuntimeError("boom <script>")

    path = handmade_run(tmp_path / "runs")
    import interp.pages.run as run_page

    listed = [s if s.id != "norms" else type(s)(s.id, s.title, broken) for s in run_page.SECTIONS]
    monkeypatch.setattr(run_page, "SECTIONS", listed)
    assert norms.build is not broken
    assert report(path, "--out", tmp_path / "r") == 1
    html = (tmp_path / "r/index.html").read_text()
    assert "This section failed: RuntimeError" in html
    assert "Loss over training" in html
    assert "boom" in (tmp_path / "r/errors.txt").read_text()
    assert "boom" in capsys.readouterr().err


def test_run_in_progress_is_reported_as_such(tmp_path):
    path = handmade_run(tmp_path / "runs")
    (path / "DONE").unlink()
    assert report(path, "--out", tmp_path / "r", "--only", "story") == 0
    html = (tmp_path / "r/index.html").read_text()
    assert "not finished" in html
    assert "Loss over training" not in html


def test_run_without_snapshots_says_so(tmp_path, capsys):
    from oracles.handmade import handmade_config

    from train.storage.store import RunStore

    store = RunStore.create(tmp_path, handmade_config(23, [3]))
    assert report(store.path, "--out", tmp_path / "r") == 2
    assert "no readable snapshots" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_list(capsys):
    assert report("--list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][:3] == ["story", "curves", "spectra"]


def test_given_key_frequencies_are_named_in_the_page(tmp_path, capsys):
    path = handmade_run(tmp_path / "runs")
    assert report(path, "--out", tmp_path / "r", "--only", "keyfreqs", "--key-freqs", 4, 7, "--quiet") == 0
    assert "Key frequencies 4 and 7 (given)." in (tmp_path / "r/index.html").read_text()
    capsys.readouterr()
    assert report(path, "--out", tmp_path / "s", "--key-freqs", 12) == 2
    captured = capsys.readouterr()
    assert "key frequency 12 is out of range" in captured.err and len(captured.err.splitlines()) == 1
    assert not (tmp_path / "s").exists()
