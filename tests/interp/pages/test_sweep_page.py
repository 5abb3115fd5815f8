"""The page of a sweep: a tile with each run's curve, links to reports, the steps of learning, the table."""

import shutil

import pytest
from sweeping import AXES, BASE, in_this_process

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    from train.sweep.__main__ import main

    folder = tmp_path_factory.mktemp("sweep")
    (folder / "grid.toml").write_text(BASE + "steps = 60\nper_decade = 3\n" + AXES)
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        assert main([str(folder / "grid.toml"), "--out", str(folder), "--quiet", "--device", "cpu"]) == 0
    return folder / "grid"


@pytest.fixture
def reported(capsys):
    from interp.report import main

    def run(*argv):
        status = main([str(a) for a in argv])
        return status, *capsys.readouterr()

    return run


def with_a_curve(root, name, accuracies):
    """Rewrite a run's log: ``accuracies`` holds (train, test) by step."""
    from train.storage.store import RunStore

    rows = [
        {"step": s, "train_acc": a, "test_acc": b, "train_loss": 1.0, "test_loss": 1.0, "wall_s": 0.1}
        for s, (a, b) in accuracies.items()
    ]
    store = RunStore(root / name)
    store.clear_done()
    for file in ("log.jsonl", "resume.safetensors", "resume.previous.safetensors"):  # a log that no other file knows
        (root / name / file).unlink(missing_ok=True)
    store.append_log(rows)
    store.mark_done(rows[-1]["step"])


def test_every_run_has_a_tile_that_leads_to_its_report(sweep, reported, tmp_path):
    from browser import opened

    from train.sweep.info import read_info

    root = shutil.copytree(sweep, tmp_path / "grid")
    names = [cell.config.run_id for cell in read_info(root).cells]
    with_a_curve(root, names[0], {0: (0.0, 0.0), 20: (1.0, 0.5), 40: (1.0, 1.0), 60: (1.0, 1.0)})
    (tmp_path / "page" / names[2]).mkdir(parents=True)
    (tmp_path / "page" / names[2] / "index.html").write_text("<title>the report</title>")
    status, out, err = reported(root, "--out", tmp_path / "page")
    assert status == 0 and out.strip() == str(tmp_path / "page/index.html") and err.endswith(" kB  the page\n")
    with opened(tmp_path / "page/index.html") as open_page:
        page = open_page.page
        tiles = page.locator(".tiles td a")
        assert tiles.count() == len(names) == 8
        rows = page.locator(".tiles tbody tr")
        assert rows.count() == 2 and rows.nth(0).locator("th").inner_text() == "op add"
        heads = page.locator(".tiles thead th").all_inner_texts()
        assert heads == ["lr 0.001, seed 0", "lr 0.001, seed 1", "lr 0.003, seed 0", "lr 0.003, seed 1"]
        first = tiles.nth(0)
        assert first.inner_text().strip() == "40" and names[0] in (first.get_attribute("title") or "")
        points = first.locator("polyline").nth(1).get_attribute("points")
        assert points is not None and points.startswith("0.0,40.0") and points.endswith("100.0,0.0")
        assert tiles.nth(1).get_attribute("href") == "#reports" and tiles.nth(1).inner_text().strip() == "–"
        body = page.inner_text("body")
        assert "1 of 8 runs have a report" in body and "8 done" in body and "1 reached 99\u00a0%" in body
        assert page.evaluate("document.querySelector('#crossings figure') !== null")
        assert open_page.problems == [] and open_page.requests == []
        tiles.nth(2).click()
        page.wait_for_url(f"**/{names[2]}/index.html")
        assert page.title() == "the report"


def test_reports_of_runs_are_built_where_there_are_none(sweep, reported, tmp_path, monkeypatch):
    import interp.pages.run as run_page

    built = []
    real = run_page.build
    monkeypatch.setattr(run_page, "build", lambda run, *rest, **flags: built.append(run) or real(run, *rest, **flags))
    flags = ("--out", tmp_path / "page", "--with-runs", "--only", "curves", "--quiet")
    assert reported(sweep, *flags)[0] == 0
    assert len(built) == 8 and len(list((tmp_path / "page").glob("*/index.html"))) == 8
    assert reported(sweep, *flags)[0] == 0 and len(built) == 8  # they are there


@pytest.mark.parametrize(
    ("damage", "status", "says"),
    [
        (lambda root: (root / "sweep.json").write_text("{"), 3, "no sweep that can be read"),
        (lambda root: (root / "sweep.json").write_text('{"format": "sweep 9"}'), 3, "its format is 'sweep 9'"),
    ],
)
def test_a_broken_sweep_is_one_line(sweep, reported, tmp_path, damage, status, says):
    root = shutil.copytree(sweep, tmp_path / "grid")
    damage(root)
    found, out, err = reported(root, "--out", tmp_path / "page")
    assert found == status and out == "" and says in err and len(err.splitlines()) == 1
    assert not (tmp_path / "page").exists()


def test_flags_that_are_not_for_it(sweep, reported, tiny_run):
    for argv, says in (
        ((sweep, "--only", "curves"), "give --with-runs, or leave it out"),
        ((sweep, "--key-freqs", "3"), "--key-freqs is for the report of a run, and this is the report of a sweep"),
        ((tiny_run, "--with-runs"), "for the report of a sweep"),
    ):
        status, _, err = reported(*argv)
        assert status == 2 and says in err and len(err.splitlines()) == 1


def test_a_broken_run_does_not_take_the_page(sweep, reported, tmp_path):
    root = shutil.copytree(sweep, tmp_path / "grid")
    name = sorted(path.parent.name for path in root.glob("*/run.json"))[0]
    (root / name / "log.jsonl").write_text("no json\n" * 3)
    status, out, _ = reported(root, "--out", tmp_path / "page")
    assert status == 0 and "failed" in (tmp_path / "page/index.html").read_text()
