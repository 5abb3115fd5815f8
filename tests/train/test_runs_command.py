"""``python -m train.runs``: the runs it lists, the damage it finds, and the files it deletes."""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")


@pytest.fixture(scope="module")
def small(tmp_path_factory, train_run, tiny_config):
    """A folder with a finished run of twelve steps, the run, and its config."""
    config = dataclasses.replace(tiny_config, schedule=dataclasses.replace(tiny_config.schedule, steps=12))
    store = train_run(tmp_path_factory.mktemp("small"), config)
    return store.path, config


@pytest.fixture
def run(small, tmp_path):
    """A copy of the run in a folder ``runs``."""
    return shutil.copytree(small[0], tmp_path / "runs" / small[0].name)


@pytest.fixture
def runs(capsys):
    """``runs(*argv)``: exit status, lines of standard output, lines of standard error."""
    from train.runs import main

    def go(*argv):
        status = main([*map(str, argv)])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return go


def files(path):
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


def faults(path):
    from train.storage.verify import faults_of

    return faults_of(path)


# ---- listing -------------------------------------------------------------------------------------------------


def test_states_steps_and_sizes(run, runs, small, train_run, tmp_path):
    from train.storage.imported import write_imported
    from train.storage.store import RunStore

    folder, config = run.parent, small[1]
    stopped = train_run(folder, config.with_(seed=1), stop_at=6).path
    running = train_run(folder, config.with_(seed=2), stop_at=3)
    weights = RunStore.open(run).load_snapshot(0)
    write_imported(folder / "theirs", config.to_dict(), {"unknown": []}, {4: weights}, None)
    broken = shutil.copytree(run, folder / "broken")
    (broken / "manifest.json").write_text("[]")
    sweep = folder / "sweep"
    shutil.copytree(run, sweep / "inner")
    (sweep / "sweep.json").write_text("{}")
    (folder / "simulation").mkdir()
    (folder / "simulation/run.json").write_text('{"format": "scaling 1"}')
    (folder / "link").symlink_to(run)
    with running.lock():
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "LOCK"}
        status, out, err = runs(folder)
    rows = {Path(line.split()[-1]).name: line.split() for line in out[1:-1]}
    assert rows.keys() == {run.name, stopped.name, running.path.name, "theirs", "broken", "inner"}
    assert rows[run.name][:3] == ["done", "12", "12"] and rows["inner"][:3] == ["done", "12", "12"]
    assert rows[stopped.name][:3] == ["resumable", "6", "12"]
    assert rows[running.path.name][0] == "running" and rows["theirs"][:2] == ["imported", "4"]
    assert rows["broken"][0] == "damaged" and status == 3 and len(err) == 1 and "manifest.json" in err[0]
    n_bytes = sum(len(data) for data in files(run).values())  # an independent count
    assert rows[run.name][3] == str(len(list((run / "steps").iterdir())))
    assert float(rows[run.name][4]) == pytest.approx(n_bytes / 1e3, rel=5e-3) and rows[run.name][5] == "kB"
    assert out[-1].startswith("6 runs, ")
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "LOCK"}


def test_a_folder_without_runs_and_one_that_is_not_there(runs, tmp_path, monkeypatch):
    assert runs(tmp_path) == (0, ["0 runs, 0 bytes"], [])
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    assert runs() == (0, ["0 runs, 0 bytes"], [])
    status, _, (line,) = runs("chekpoints")
    assert status == 2 and "does not exist; did you mean 'checkpoints'?" in line


# ---- verifying -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.json", "manifest.json", "log.jsonl", "DONE", "resume.safetensors", "steps"])
def test_a_changed_byte_is_found_in_every_file(run, runs, name):
    assert runs(run, "--verify")[:2] == (0, [f"{run}: verified", "1 runs, 0 damaged"])  # control
    path = run / name if name != "steps" else sorted((run / "steps").iterdir())[3]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    status, out, err = runs(run.parent, "--verify")
    assert status == 3 and out == [f"{run}: damaged", "1 runs, 1 damaged"]
    assert any(path.name in line for line in err) and all(line.startswith("error: ") for line in err)


def test_a_missing_snapshot_and_one_too_many_are_found(run):
    first, second = sorted((run / "steps").iterdir())[:2]
    shutil.copy(second, run / "steps/00000999.safetensors")
    first.unlink()
    assert [any(word in line for line in faults(run)) for word in (first.name, "step 999")] == [True, True]


def test_a_run_of_the_older_format_is_not_verified(runs, tmp_path):
    old = Path(__file__).parents[1] / "fixtures/format1/add-p5-s0-fce75be7"
    path = shutil.copytree(old, tmp_path / old.name)
    status, out, _ = runs(path, "--verify")
    assert status == 0 and out[0] == f"{path}: not verified" and "older format" in out[1]


# ---- deleting snapshots --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--keep-every", "3"], lambda steps: sorted({*steps[::3], steps[-1]})),
        (["--keep-last"], lambda steps: steps[-1:]),
        (["--drop-steps", "1,3"], lambda steps: [step for step in steps if step not in (1, 3)]),
    ],
    ids=["every", "last", "dropped"],
)
def test_a_thinned_run_is_verified_opens_and_trains_on(run, runs, small, train_run, flags, kept):
    """A thinned run verifies, opens and resumes with the whole run's log and snapshots, but for deleted ones."""
    from interp import open_run
    from train.storage.store import RunStore

    steps = RunStore.open(run).steps
    status, out, err = runs(run, *flags, "--yes")
    remaining = kept(steps)
    assert (status, err) == (0, []) and out[-1] == f"{run}: {len(steps) - len(remaining)} snapshots deleted"
    assert RunStore.open(run).steps == remaining == sorted(int(one.stem) for one in (run / "steps").iterdir())
    assert faults(run) == []
    assert open_run(run).last.step == 12
    whole = shutil.copytree(small[0], run.parent.parent / "whole" / run.name)
    longer = small[1].with_(steps=20)
    train_run(run.parent, longer)
    train_run(whole.parent, longer)
    assert faults(run) == []
    theirs = files(whole / "steps")
    ours = files(run / "steps")
    assert ours == {name: data for name, data in theirs.items() if int(name[:8]) in remaining or int(name[:8]) > 12}
    rows, others = (RunStore.open(path).read_log() for path in (run, whole))
    assert [{**row, "wall_s": 0} for row in rows] == [{**row, "wall_s": 0} for row in others]


def test_without_lower_counts_a_thinned_run_would_be_damaged(run, monkeypatch):
    """A manifest thinned without lower counts in the other files (the control) is reported as damage."""
    from train.storage import thinning
    from train.storage.store import RunStore

    monkeypatch.setattr(thinning, "_lower_counts", lambda reader, remaining: None)
    RunStore.open(run).drop_snapshots([1, 2])
    assert any("it is older" in line for line in faults(run))


def test_killed_anywhere_the_run_is_whole(small, tmp_path, monkeypatch):
    """Killed at any write or deletion, every file verifies, and a repeated command finishes the work."""
    from train.storage import thinning
    from train.storage.store import RunStore

    class Killed(BaseException):
        pass

    finished = n = 0
    while not finished:
        path = shutil.copytree(small[0], tmp_path / str(n) / small[0].name)
        left = n

        def counted(act):
            def go(*args, **kwargs):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return act(*args, **kwargs)

            return go

        with monkeypatch.context() as patch:
            patch.setattr(thinning, "write_atomic", counted(thinning.write_atomic))
            patch.setattr(thinning, "write_json", counted(thinning.write_json))
            patch.setattr(Path, "unlink", counted(Path.unlink))
            try:
                RunStore.open(path).drop_snapshots([1, 2, 3])
                finished = True
            except Killed:
                pass
        found = faults(path)
        assert all("manifest does not list" in line for line in found)
        store = RunStore.open(path)
        store.drop_snapshots([step for step in (1, 2, 3) if step in store.steps])
        assert faults(path) == []
        n += 1
    assert n > 5


def test_what_cannot_be_deleted_is_refused_before_it_is_asked(run, runs, tmp_path):
    before = files(run)
    for flags, words in {
        ("--drop-steps", "1,77"): "no snapshot at step 77; its last one is at 12",
        ("--drop-steps", ",".join(str(int(one.stem)) for one in (run / "steps").iterdir())): "no snapshot left",
        ("--keep-every", "0"): "keep_every = 0",
        ("--keep-last", "--delete"): "do not go together",
        ("--verify", "--delete"): "do not go together",
        ("--yes",): "--yes does nothing here",
    }.items():
        status, _, (line,) = runs(run, *flags)
        assert status == 2 and words in line
    for path in (run.parent, tmp_path / "none"):
        status, _, (line,) = runs(path, "--delete", "--yes")
        assert status == 2 and ("is not a run: name the runs" in line or "does not exist" in line)
    assert files(run) == before


# ---- deleting runs -------------------------------------------------------------------------------------------


def test_a_run_is_deleted_and_nothing_that_it_links_to(run, runs, tmp_path):
    beside = tmp_path / "precious"
    beside.mkdir()
    (beside / "file").write_text("here")
    (run / "notes").symlink_to(beside)
    status, out, err = runs(run, "--delete", "--yes")
    assert (status, err) == (0, []) and out[-1] == f"{run}: deleted"
    assert list(run.parent.iterdir()) == [] and (beside / "file").read_text() == "here"


def test_a_link_to_a_run_is_refused(run, runs):
    link = run.parent / "link"
    link.symlink_to(run)
    status, _, (line,) = runs(link, "--delete", "--yes")
    assert status == 2 and "is a link" in line and run.exists()


def test_steps_that_are_a_link_are_not_followed(run, runs, tmp_path):
    (run / "steps").rename(tmp_path / "elsewhere")
    (run / "steps").symlink_to(tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    status, _, (line,) = runs(run, "--keep-last", "--yes")
    assert status == 3 and "is a link" in line and files(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("flag", ["--delete", "--keep-last"])
def test_nothing_is_deleted_without_consent(run, runs, monkeypatch, flag):
    before = files(run)
    status, out, (line,) = runs(run, flag)  # standard input is no terminal here
    assert status == 2 and "will be deleted" in out[0] and "give --yes" in line
    for answer, stays in (("n\n", True), ("\n", True), ("y\n", False)):
        terminal = type("Terminal", (), {"isatty": lambda self: True, "readline": lambda self, text=answer: text})()
        monkeypatch.setattr(sys, "stdin", terminal)
        status, _, _ = runs(run, flag)
        assert (status == 2, run.exists() and files(run) == before) == (stays, stays)


@pytest.mark.parametrize("flag", ["--delete", "--keep-last"])
def test_a_run_in_training_is_left_alone(run, runs, flag):
    from train.storage.store import RunStore

    before = files(run)
    with RunStore.open(run).lock():
        status, _, (line,) = runs(run, flag, "--yes")
    assert status == 2 and "is being trained" in line
    assert {**files(run), "LOCK": b""} == {**before, "LOCK": b""}


def test_a_damaged_run_can_be_deleted_but_not_thinned(run, runs):
    (run / "run.json").write_text("{")
    status, _, (line,) = runs(run, "--keep-last", "--yes")
    assert status == 3 and "run.json" in line
    assert runs(run, "--delete", "--yes")[0] == 0 and not run.exists()


def test_an_old_run_is_upgraded_before_it_is_thinned(runs, tmp_path):
    old = Path(__file__).parents[1] / "fixtures/format1/add-p5-s0-fce75be7"
    path = shutil.copytree(old, tmp_path / old.name)
    assert runs(path, "--drop-steps", "0", "--yes")[0] == 0
    assert runs(path, "--verify")[1][0] == f"{path}: verified"
    assert json.loads((path / "manifest.json").read_text())["snapshots"][0]["step"] == 1
    assert os.listdir(path / "steps") == ["00000001.safetensors"]  # noqa: PTH208
