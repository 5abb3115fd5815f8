"""A run stopped anywhere and resumed equals, bit for bit, the run that was never stopped."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("quick_disk")  # a kill loses nothing that was written; a power cut would
MODES = {
    "full batch": {},
    "minibatch": {"batch_size": 25},  # of 60 rows: 3 pieces, and 100 is in mid-epoch
    "noise": {
        **{"dropout": 0.1, "weight_noise": 0.01, "update_noise": 0.1, "decay_towards": "init"},
        **{"grokfast_alpha": 0.9, "grokfast_from": 20},
    },
}
STEPS = 200


@pytest.fixture(scope="module", params=MODES)
def mode(request, tiny_config):
    from train.config.settings import override

    return override(tiny_config, {"steps": STEPS, "lr": 5e-3, **MODES[request.param]})


@pytest.fixture(scope="module")
def unbroken(mode, tmp_path_factory, train_run):
    """The uninterrupted run of a mode."""
    return train_run(tmp_path_factory.mktemp("unbroken"), mode)


def resume_step(store) -> int:
    found = store.load_resume()
    assert found is not None
    return found[1]["step"]


def digest(store) -> dict[str, Any]:
    """All numbers of a run except times."""
    tensors, state = store.load_resume()
    log = [{key: value for key, value in row.items() if key != "wall_s"} for row in store.read_log()]
    return {
        "log": log,
        "manifest": store.manifest,
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in store.path.glob("steps/*")},
        "resume": {name: tensor.numpy().tobytes() for name, tensor in sorted(tensors.items())},
        "state": {key: value for key, value in state.items() if key != "wall_s"},
        "done": store.done_step,
    }


def assert_same(store, unbroken) -> None:
    ours, theirs = digest(store), digest(unbroken)
    assert ours["log"] == theirs["log"]
    for part in theirs:
        assert ours[part] == theirs[part], part
    assert sorted(p.name for p in store.path.iterdir()) == sorted(p.name for p in unbroken.path.iterdir())


def shorter(config, steps):
    from train.config.settings import override

    return override(config, {"steps": steps})


# ---- stopped and extended ----------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [[100], [1, 2, 50, 51, 199]], ids=str)
def test_stopped_and_resumed(tmp_path, mode, unbroken, train_run, stops):
    for stop in stops:
        store = train_run(tmp_path, mode, stop_at=stop)
        assert store.load_resume()[1]["step"] == stop
        assert store.done_step is None
        assert [row["step"] for row in store.read_log()][-1] in (stop, stop - 1)
    store = train_run(tmp_path, mode)
    assert_same(store, unbroken)
    assert unbroken.manifest[0]["sha256"] != unbroken.manifest[STEPS]["sha256"]  # control: it moved
    walls = [row["wall_s"] for row in store.read_log() if "wall_s" in row]
    assert walls == sorted(walls)


def test_extended(tmp_path, mode, unbroken, train_run):
    """A run finished at step 100, which is on both grids, is extended to 200."""
    half = train_run(tmp_path, shorter(mode, 100))
    assert half.done_step == 100
    store = train_run(tmp_path, mode)
    assert store.path == half.path
    assert_same(store, unbroken)


def test_extended_from_a_step_off_the_grids(tmp_path, mode, unbroken, train_run):
    """A run extended from off the grids keeps its first end's snapshot and evaluation; no other number differs."""
    train_run(tmp_path, shorter(mode, 149))
    store = train_run(tmp_path, mode)
    assert set(store.manifest) - set(unbroken.manifest) == {149}
    assert all(store.manifest[step] == entry for step, entry in unbroken.manifest.items())
    ours, theirs = digest(store), digest(unbroken)
    assert ours["resume"] == theirs["resume"]
    assert ours["log"][149]["step"] == theirs["log"][149]["step"] == 149
    assert "test_loss" in ours["log"][149] and "test_loss" not in theirs["log"][149]
    for log in (ours["log"], theirs["log"]):
        del log[149]
    assert ours["log"] == theirs["log"]


def test_control_another_thing_resumed_is_seen(tmp_path, mode, unbroken, train_run):
    """Resuming without the optimiser's moments ends elsewhere and is noticed (the control)."""
    from train.errors import DataError

    store = train_run(tmp_path, mode, stop_at=100)
    tensors, state = store.load_resume()
    forgotten = {name: t.zero_() if name.startswith("exp_avg") else t for name, t in tensors.items()}
    store.save_resume(forgotten, state)
    store = train_run(tmp_path, mode)
    with pytest.raises(AssertionError):
        assert_same(store, unbroken)
    with pytest.raises(DataError, match="differs from the weights just computed"):
        # and a snapshot on disk is not silently overwritten by such weights
        store.save_snapshot(STEPS, unbroken.load_snapshot(100))


def test_weights_that_differ_from_a_snapshot_on_disk_are_refused(tmp_path, mode, train_run):
    """Resumed weights are compared with the snapshot of each step: another machine may compute others."""
    from train.errors import DataError

    store = train_run(tmp_path, mode, stop_at=60)
    earlier = (store.path / "resume.safetensors").read_bytes()
    train_run(tmp_path, mode, stop_at=150)
    (store.path / "resume.safetensors").write_bytes(earlier)
    tensors, state = store.load_resume()
    tensors["model.embed.W_E"] *= 1 + 1e-6
    store.save_resume(tensors, state)
    with pytest.raises(DataError, match=r"0000\d+\.safetensors differs"):
        train_run(tmp_path, mode)
    (store.path / "resume.safetensors").write_bytes(earlier)  # control
    train_run(tmp_path, mode)


class Crash(Exception):
    pass


def crash_at_70(report) -> None:
    if report.step == 70:
        raise Crash


def test_resume_state_is_refreshed_by_time(tmp_path, tiny_config, train_run, monkeypatch):
    from train.engine import loop as engine
    from train.storage.store import RunStore

    config = shorter(tiny_config, 100)
    monkeypatch.setattr(engine, "REPORT_EVERY_S", -1.0)  # every step is reported
    found, ends = {}, {}
    for seconds in (0.0, 3600.0):
        monkeypatch.setattr(engine, "RESUME_EVERY_S", seconds)
        root = tmp_path / str(seconds)
        with pytest.raises(Crash):
            train_run(root, config, progress=crash_at_70)
        found[seconds] = resume_step(RunStore(root / config.run_id))
        monkeypatch.setattr(engine, "RESUME_EVERY_S", 3600.0)
        ends[seconds] = train_run(root, config)
    assert found[0.0] == 70
    assert found[3600.0] == 65  # control: the last snapshot's
    assert_same(ends[0.0], ends[3600.0])


# ---- killed ------------------------------------------------------------------------------------------


def argv_of(config, out: Path) -> list[str]:
    flags = {
        "p": config.task.p,
        "train-frac": config.task.train_frac,
        "split": config.task.split,
        "d-model": config.model.d_model,
        "n-heads": config.model.n_heads,
        "d-mlp": config.model.d_mlp,
        "lr": config.optim.lr,
        **{name.replace("_", "-"): value for name, value in MODES["noise"].items() if config.optim.dropout > 0},
        "batch-size": config.optim.batch_size,
        "steps": config.schedule.steps,
        "threads": 1,
        "device": "cpu",
        "out": out,
    }
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def command(argv: list[str], folder: Path, signum: int | None, at_sync: int) -> None:
    """Body of a forked process: the training command, with ``signum`` at fsync ``at_sync`` (each write has one)."""
    from train.run import main

    synced = 0

    def counting(_fd: int) -> None:
        nonlocal synced
        synced += 1
        if synced == at_sync and signum is not None:
            os.kill(os.getpid(), signum)

    os.fsync = counting
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(argv)
    raise SystemExit(status)


def run_command(forked, argv, folder, signum=None, at_sync=0) -> tuple[int, str, str]:
    process = forked(command, argv, folder, signum, at_sync)
    process.join(120)
    assert process.exitcode is not None, "still running"
    return process.exitcode, (folder / "out").read_text(), (folder / "err").read_text()


def test_killed_at_seeded_instants_and_resumed(tmp_path, mode, unbroken, forked):
    """A run killed (SIGKILL) at random writes, again and again, ends as the uninterrupted run."""
    generator = random.Random(0)
    argv, killed = argv_of(mode, tmp_path), 0
    while killed < 30:
        status, _, err = run_command(forked, argv, tmp_path, signal.SIGKILL, generator.randint(8, 90))
        if status == 0:
            break
        assert status == -signal.SIGKILL, err
        killed += 1
    assert status == 0
    assert killed >= 3
    from train.storage.store import RunStore

    assert_same(RunStore(tmp_path / mode.run_id), unbroken)


@pytest.mark.parametrize("at_sync", range(1, 13))
def test_killed_before_the_first_snapshots(tmp_path, tiny_config, forked, at_sync):
    """A run killed at any write of its start, from the directory to the first manifests, is completed afterwards."""
    short = shorter(tiny_config, 3)
    argv = argv_of(short, tmp_path)
    status, _, err = run_command(forked, argv, tmp_path, signal.SIGKILL, at_sync)
    assert status == -signal.SIGKILL, err
    status, out, err = run_command(forked, argv, tmp_path)
    assert status == 0, err
    from train.storage.store import RunStore

    store = RunStore(Path(out.splitlines()[-1]))
    assert store.path == tmp_path / short.run_id
    assert store.steps == [0, 1, 2, 3]
    assert [row["step"] for row in store.read_log()] == [0, 1, 2, 3]
    assert store.done_step == 3
    assert not list(store.path.rglob("*.tmp"))


@pytest.mark.parametrize("mode", ["minibatch"], indirect=True)
def test_killed_from_outside_and_resumed(tmp_path, mode, unbroken, forked):
    """A run killed at random times during any work, with a torn line in the log, ends as the uninterrupted run."""
    from train.storage.store import RunStore

    generator = random.Random(1)
    argv, store = argv_of(mode, tmp_path), RunStore(tmp_path / mode.run_id)
    for _ in range(4):
        process = forked(command, argv, tmp_path, None, 0)
        before = store.steps
        while process.is_alive() and store.steps == before:  # until it trains
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.2))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        with (store.path / "log.jsonl").open("a") as file:
            file.write('{"step": 9')
    status, _, err = run_command(forked, argv, tmp_path)
    assert status == 0, err
    assert_same(store, unbroken)


@pytest.mark.parametrize(
    ("mode", "signum", "expected"),
    [("full batch", signal.SIGINT, 130), ("minibatch", signal.SIGTERM, 143)],
    indirect=["mode"],
)
def test_signals_save_and_exit(tmp_path, mode, unbroken, forked, signum, expected):
    from train.storage.store import RunStore

    argv = argv_of(mode, tmp_path)
    status, out, err = run_command(forked, [*argv, "--quiet"], tmp_path, signum, 60)
    store = RunStore(tmp_path / mode.run_id)
    step = resume_step(store)
    assert status == expected
    assert err == f"stopped by signal {signum:d} at step {step}; saved: run the command again to resume\n"
    assert out == ""
    assert 0 < step < STEPS
    assert store.done_step is None
    status, out, err = run_command(forked, argv, tmp_path)
    assert status == 0
    assert f"from step {step} to step {STEPS}" in err
    assert_same(store, unbroken)


def test_a_full_disk_and_resume(tmp_path, mode, unbroken, train_run, monkeypatch):
    """A failing write ends the session and keeps everything saved before."""
    left = 50

    def full(_fd: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train_run(tmp_path, mode)
    assert_same(train_run(tmp_path, mode), unbroken)


# ---- nothing to do -----------------------------------------------------------------------------------


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "LOCK")
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.mark.parametrize("steps", [STEPS, STEPS - 50, 1])
def test_a_done_run_is_left_alone(tmp_path, mode, unbroken, capsys, steps):
    from train.run import main

    path = shutil.copytree(unbroken.path, tmp_path / unbroken.path.name)
    before = everything(path)
    steps = max(steps, mode.optim.grokfast_from + 1)  # with fewer Grokfast would do nothing, which is refused
    assert main(argv_of(shorter(mode, steps), tmp_path)) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == str(path)
    assert f"already trained to step {STEPS}" in out[0]
    assert everything(path) == before
    main(argv_of(shorter(mode, STEPS + 1), tmp_path))  # control: one more step is something to do
    assert everything(path) != before


def test_a_stopped_run_is_not_done_for_being_asked_fewer_steps(tmp_path, mode, unbroken, train_run, capsys):
    """A run stopped at 150 of 200 steps satisfies a request for 100 and still resumes to 200."""
    from train.run import main

    store = train_run(tmp_path, mode, stop_at=150)
    assert main(argv_of(shorter(mode, 100), tmp_path)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(store.path)
    assert store.config.schedule.steps == STEPS  # "the largest number asked for so far"
    assert store.done_step is None or store.done_step in store.steps
    assert_same(train_run(tmp_path, mode), unbroken)
