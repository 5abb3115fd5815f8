"""Sweeps: their files, the grid, stacks, the table, the command; engines and kills are in test_sweep_kills.py."""

import json
import re
from pathlib import Path

import pytest
from sweeping import AXES, BASE, in_this_process, numbers

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")

TINY = BASE + "steps = 60\nper_decade = 3\n" + AXES


@pytest.fixture
def spec(tmp_path):
    """``spec(text)``: a sweep file with this text."""

    def make(text=TINY, name="tiny"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return make


@pytest.fixture
def swept(capsys, monkeypatch):
    """``swept(path, *flags)``: status, output and errors of the command, with its worker in this process."""
    from train.sweep.__main__ import main

    in_this_process(monkeypatch)

    def run(path, *flags):
        status = main([str(path), "--device", "cpu", *map(str, flags)])
        return status, *capsys.readouterr()

    return run


def files_of(folder: Path):
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()
    }


# ---- files ---------------------------------------------------------------------------------------------


def test_the_grid_is_the_product_seeds_fastest(spec):
    from train.sweep.spec import read_spec

    found = read_spec(spec())
    assert found.name == "tiny" and found.axes == ("op", "lr") and len(found.cells) == 8
    at = [(cell.at["op"], cell.at["lr"], cell.config.seed) for cell in found.cells]
    assert at[:3] == [("add", 1e-3, 0), ("add", 1e-3, 1), ("add", 3e-3, 0)] and at[-1] == ("mul", 3e-3, 1)
    assert all(c.config.optim.lr == c.at["lr"] and c.config.task.op == c.at["op"] for c in found.cells)
    assert len({cell.config.run_id for cell in found.cells}) == 8 and found.stop is None


def test_arms_are_named_settings(spec):
    """Arms are named groups of settings, such as those of Figure 2 of Power et al. 2022."""
    from train.sweep.spec import read_spec

    text = TINY + (
        '[arms.adam]\noptimizer = "adam"\nweight_decay = 0.0\n[arms."adamw to init"]\ndecay_towards = "init"\n'
        "[stop]\ntest_acc = 0.9\nsteps = 50\n"
    )
    found = read_spec(spec(text))
    assert len(found.cells) == 16 and found.axes == ("arm", "op", "lr")
    assert {cell.at["arm"] for cell in found.cells} == {"adam", "adamw to init"}
    assert {c.config.optim.optimizer for c in found.cells if c.at["arm"] == "adam"} == {"adam"}
    assert found.stop is not None and found.stop.steps == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("lr = [1e-3, 3e-3]", "learning_rate = [1]"), "unknown axis 'learning_rate'"),
        (("lr = [1e-3, 3e-3]", "weight_decya = [1.0]"), "unknown axis 'weight_decya'; did you mean 'weight_decay'?"),
        (("lr = [1e-3, 3e-3]", "lr = 1e-3"), "axis lr = 0.001 is not allowed; it must be a list"),
        (("lr = [1e-3, 3e-3]", "lr = []"), "axis lr has no values: the sweep has no runs"),
        (("lr = [1e-3, 3e-3]", "lr = [1e-3, 1e-3]"), "axis lr has a value twice"),
        (("lr = [1e-3, 3e-3]", "seed = [1]"), "seeds are no axis"),
        (("lr = [1e-3, 3e-3]", "lr = ['fast']"), "impossible combination (op = 'add', lr = 'fast'): lr = 'fast'"),
        (("lr = [1e-3, 3e-3]", "grokfast_window = [500]"), "grokfast_window = 500 is longer than the run's 60 steps"),
        (("lr = [1e-3, 3e-3]", "batch_size = [4000]"), "batch_size = 4000 is more than the"),
        (("lr = [1e-3, 3e-3]", "momentum = [0.9]"), "it needs optimizer sgd"),
        (('op = ["add", "mul"]', 'op = ["add", "compose"]'), "impossible combination (op = 'compose'"),
        (("p = 11", "modulus = 11"), "unknown setting 'modulus'"),
        (("p = 11", "p = 11.5"), "p = 11.5"),
        (('preset = "quick"', 'preset = "quik"'), "unknown preset 'quik'; did you mean 'quick'?"),
        (('seeds = "0..1"', "seeds = []"), "the sweep has no runs"),
        (('seeds = "0..1"', 'seeds = "many"'), "give seeds such as"),
        (('seeds = "0..1"', "seeds = [1.5]"), "seeds = [1.5] is not allowed"),
        (('seeds = "0..1"', "axis = 1"), "unknown 'axis'; did you mean 'axes'?"),
        (("[axes]", "[stop]\nacc = 1\n[axes]"), "unknown 'acc' in [stop]"),
        (("[axes]", "[stop]\ntest_acc = 1.5\n[axes]"), "test_acc = 1.5 is out of range"),
        (("[axes]", "[arms.x]\nlr = 1.0\n[axes]"), "arm x sets lr, which is an axis"),
        (("[axes]", "[axes"), "is not TOML"),
    ],
    ids=lambda x: x[1] if isinstance(x, tuple) else None,
)
def test_bad_files_are_one_line_and_nothing_starts(spec, swept, tmp_path, change, says):
    status, out, err = swept(spec(TINY.replace(*change)), "--out", tmp_path / "out")
    assert status == 2 and out == "" and says in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--shard", "2/2"), "--shard '2/2' is not allowed"),
        (("--engine", "dask"), "go together"),
        (("--address", "tcp://127.0.0.1:1"), "go together"),
        (("--workers", "0"), "workers = 0"),
        (("--engine", "ray"), "ray"),
        (("--device", "tpu"), "unknown device 'tpu'"),
    ],
)
def test_bad_flags_are_one_line(spec, swept, tmp_path, flags, says):
    status, out, err = swept(spec(), "--out", tmp_path / "out", *flags)
    assert status == 2 and says in err and len(err.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_more_than_disk_or_memory_holds_is_refused_with_the_estimate(spec, swept, tmp_path, monkeypatch):
    import shutil
    import types

    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=10_000))
    status, _, err = swept(spec(), "--out", tmp_path / "out")
    assert status == 2 and re.search(r"8 runs in 1 stacks: at most [\d.]+ MB of disk and about \d+ s on", err)
    assert "0.0 GB free" in err and len(err.splitlines()) == 1
    monkeypatch.setattr("train.sweep.plan.free_bytes", lambda device: 1000)
    status, _, err = swept(spec(), "--out", tmp_path / "out")
    assert status == 2 and "one run of this sweep needs" in err and not (tmp_path / "out").exists()


def test_a_dry_run_prints_and_trains_nothing(spec, swept, tmp_path):
    status, out, err = swept(spec(), "--out", tmp_path / "out", "--dry-run")
    assert status == 0 and len(out.splitlines()) == 8 and "op = mul, lr = 0.003" in out
    assert "8 runs; to train: 8 runs in 1 stacks" in err and not (tmp_path / "out").exists()


def test_the_disk_a_run_takes_is_not_more_than_was_said(spec, swept, tmp_path):
    from train.sweep.plan import disk_bytes
    from train.sweep.spec import read_spec

    assert swept(spec(), "--out", tmp_path / "out", "--quiet")[0] == 0
    for cell in read_spec(spec()).cells:
        taken = sum(p.stat().st_size for p in (tmp_path / "out/tiny" / cell.config.run_id).rglob("*") if p.is_file())
        assert 0.05 * disk_bytes(cell.config) < taken <= disk_bytes(cell.config)


# ---- runs ----------------------------------------------------------------------------------------------


def test_each_run_is_its_single_run_and_is_trained_once(spec, swept, train_run, tmp_path):
    from train.sweep.spec import read_spec

    status, out, _ = swept(spec(), "--out", tmp_path / "out", "--stack", 3)
    root = tmp_path / "out/tiny"
    assert status == 0 and out.splitlines()[-1] == str(root) and "8 done" in out
    cells = read_spec(spec()).cells
    assert sorted(p.name for p in root.iterdir() if p.is_dir() and p.name != ".status") == sorted(
        cell.config.run_id for cell in cells
    )
    for cell in (cells[0], cells[7]):
        assert numbers(root / cell.config.run_id) == numbers(train_run(tmp_path / "alone", cell.config).path)
    before = files_of(root)
    status, _, err = swept(spec(), "--out", tmp_path / "out")
    assert status == 0 and "to train: none" in err
    after = files_of(root)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"sweep.json", "sweep.parquet"} and set(before) == set(after)


def test_shards_make_the_whole(spec, swept, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert swept(spec(), "--out", whole, "--stack", 2, "--quiet")[0] == 0
    done = []
    for i in range(3):
        assert swept(spec(), "--out", parts, "--stack", 2, "--shard", f"{i}/3", "--quiet")[0] == 0
        done.append(len(list(parts.glob("tiny/*/DONE"))))
    assert done == [4, 6, 8]
    for run in whole.glob("tiny/*/run.json"):
        assert numbers(run.parent) == numbers(parts / "tiny" / run.parent.name)


def test_the_stop_rule_ends_runs_where_the_accuracy_has_held(spec, swept, train_run, tmp_path):
    """A run stops at the first evaluation so many steps after its first crossing; a later rule resumes it."""
    from train.curves import first_crossing
    from train.storage.store import RunStore
    from train.sweep.spec import read_spec

    text = TINY.replace("[axes]", "[stop]\ntest_acc = 0.05\nsteps = 15\n[axes]")
    assert swept(spec(text), "--out", tmp_path / "out", "--quiet")[0] == 0
    ends = []
    for cell in read_spec(spec(text)).cells:
        store = RunStore(tmp_path / "out/tiny" / cell.config.run_id)
        rows = [row for row in train_run(tmp_path / "alone", cell.config).read_log() if "test_acc" in row]
        since, expected = None, 60
        for row in rows:  # by hand
            since = (since if since is not None else row["step"]) if row["test_acc"] >= 0.05 else None
            if since is not None and row["step"] - since >= 15:
                expected = row["step"]
                break
        ends.append(store.done_step)
        assert store.done_step == expected == max(store.steps)
        assert first_crossing([r["step"] for r in rows], [r["test_acc"] for r in rows], 0.05) is not None
    assert min(ends) < 60
    later = text.replace("steps = 15", "steps = 10_000")
    assert swept(spec(later), "--out", tmp_path / "out", "--quiet")[0] == 0
    assert {RunStore(p.parent).done_step for p in (tmp_path / "out/tiny").glob("*/DONE")} == {60}
    first = read_spec(spec()).cells[0].config
    assert numbers(tmp_path / "out/tiny" / first.run_id)[1] == numbers(train_run(tmp_path / "alone", first).path)[1]


def test_a_run_that_fails_stops_no_other(spec, swept, tmp_path):
    """A run that diverges and one with an unreadable resume state leave the other runs of their stacks alone."""
    import pandas as pd

    from train.sweep.spec import read_spec

    path = spec(TINY.replace("lr = [1e-3, 3e-3]", "lr = [1e-3, 500.0]"))
    broken = read_spec(path).cells[1].config.run_id
    assert swept(path, "--out", tmp_path / "out", "--quiet")[0] == 4
    root = tmp_path / "out/tiny"
    (root / broken / "DONE").unlink()
    for name in ("resume.safetensors", "resume.previous.safetensors"):
        (root / broken / name).write_bytes(b"no")
    status, out, err = swept(path, "--out", tmp_path / "out")
    table = pd.read_parquet(root / "sweep.parquet").set_index("run_id")
    rows = {str(row["run_id"]): row for row in table.reset_index().to_dict("records")}
    failed = {name: row["error"] for name, row in rows.items() if row["status"] == "failed"}
    diverged = {name for name in failed if rows[name]["lr"] == 500}
    assert status == 4 and set(table["status"]) == {"done", "failed"} and "failed;" in out.splitlines()[-2]
    assert len([line for line in out.splitlines() if line.strip().startswith(("add-", "mul-"))]) == 8
    assert 1 <= len(diverged) <= 4 and set(failed) == diverged | {broken}
    assert all("the training loss is" in failed[name] for name in diverged) and "resume" in failed[broken]
    for name in failed:
        told = json.loads((root / name / "failed.json").read_text())
        assert "Error" in told["traceback"][-1] and f"error: {name} failed: {told['error']}" in err
    for name in ("resume.safetensors", "resume.previous.safetensors"):
        (root / broken / name).unlink()
    swept(path, "--out", tmp_path / "out")
    table = pd.read_parquet(root / "sweep.parquet").set_index("run_id")
    assert table.loc[broken, "status"] == "done" and not (root / broken / "failed.json").exists()  # tried again
    (root / broken / "run.json").write_bytes(b"{")
    status, out, err = swept(path, "--out", tmp_path / "out")
    again = pd.read_parquet(root / "sweep.parquet").set_index("run_id")["status"].drop(broken)
    assert status == 4 and "run.json is not JSON" in err and again.equals(table["status"].drop(broken))


def test_a_busy_run_is_said_to_be_busy_and_left_alone(spec, swept, tmp_path):
    from train.storage.store import RunStore
    from train.sweep.spec import read_spec

    config = read_spec(spec()).cells[0].config
    (tmp_path / "out/tiny").mkdir(parents=True)
    store = RunStore.create(tmp_path / "out/tiny", config)
    with store.lock():
        status, _, err = swept(spec(), "--out", tmp_path / "out", "--quiet")
    assert status == 4 and "is being trained by pid" in err and not (store.path / "failed.json").exists()
    assert len(list((tmp_path / "out/tiny").glob("*/DONE"))) == 7


# ---- the table -----------------------------------------------------------------------------------------


def test_the_table_is_the_logs(spec, swept, tmp_path):
    """The table has the crossings of written logs: 99% train at 20; test first at 30, lost at 40, stable from 50."""
    import pandas as pd

    from train.storage.store import RunStore
    from train.sweep.results import table
    from train.sweep.spec import read_spec

    found = read_spec(spec())
    root = tmp_path / "out"
    root.mkdir()
    store = RunStore.create(root, found.cells[0].config)
    train = {0: 0.1, 10: 0.5, 20: 0.99, 30: 1.0, 40: 1.0, 50: 1.0, 60: 1.0}
    test = {0: 0.1, 10: 0.1, 20: 0.2, 30: 0.995, 40: 0.5, 50: 0.99, 60: 0.992}
    rows = [
        {"step": s, "train_acc": train[s], "test_acc": test[s], "train_loss": 1.0, "test_loss": 2.0, "wall_s": s / 10}
        for s in train
    ]
    store.append_log([rows[0], {"step": 5, "train_loss": 0.9}, *rows[1:]])
    store.add_session(found.cells[0].config, {"side_by_side": 3})
    frame = table(root, found)
    assert frame.shape[0] == 8 and list(frame.columns[:5]) == ["run_id", "op", "lr", "seed", "status"]
    row = frame.iloc[0]
    assert (row.train_99, row.test_99, row.test_99_stable, row.delay) == (20, 30, 50, 10)
    assert (row.best_test_acc, row.best_step, row.step, row.test_acc) == (0.995, 30, 60, 0.992)
    assert row.seconds == pytest.approx(2.0) and row.status == "unfinished"
    other = frame.iloc[1]
    assert other.status == "missing" and pd.isna(other.train_99) and pd.isna(other.seconds)


def test_what_is_seen_while_it_trains(spec, tmp_path, capsys):
    import io
    import time

    from rich.console import Console

    from train.sweep import display

    root = tmp_path
    (root / ".status").mkdir()
    at = {
        "a": {"step": 1200, "train_acc": 1.0, "test_acc": 0.995},
        "b": {"step": 7, "train_acc": None, "test_acc": None},
    }
    (root / ".status/host-1.json").write_text(json.dumps({"at": time.time(), "runs": at}))
    (root / ".status/host-2.json").write_text(json.dumps({"at": time.time() - 1000, "runs": {"c": at["a"]}}))
    (root / "d").mkdir()
    (root / "d/DONE").write_text("{}")
    line = display.summary(root, {"a", "b", "c", "d"}, 10)
    assert line == "7 of 10 runs done · 2 in training (1 with test accuracy 99%) · 1 waiting"
    console = Console(file=io.StringIO(), width=100)
    console.print(display._drawn(root, {"a", "b", "c", "d"}, 10))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1,200" in drawn and "99.5%" in drawn and line in drawn
    with display.watching(root, {"a"}, 10, quiet=False) as watch:
        watch()
        watch()
    assert len(capsys.readouterr().err.splitlines()) == 1  # once in 30 s where there is no terminal
