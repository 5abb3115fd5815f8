"""A run on disk: complete or absent, independent of live tensors, compared, locked."""

import json
import os
import shutil
import socket
import stat
import time
from pathlib import Path

import pytest
import torch


def make_store(root: Path, **settings):
    from train.config.run import RunConfig
    from train.config.settings import override
    from train.storage.store import RunStore

    return RunStore.create(root, override(RunConfig(), {"p": 5, **settings}))


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "embed.W_E": torch.randn(6, 4, generator=generator),
        "unembed.W_U": torch.randn(4, 5, generator=generator),
    }


def at(step: int, wall_s: float = 0.0) -> dict:
    """The metadata of a resume state."""
    return {"step": step, "wall_s": wall_s, "rule": {"n_extra": 0, "test_loss": None, "test_acc": None}}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` except the lock, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "LOCK")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# ---- files -------------------------------------------------------------------------------------------


def refuse(*_args, **_kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace"), (os, "fchmod")])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, owner, name):
    from train.storage.files import write_atomic

    path = tmp_path / "state"
    write_atomic(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, refuse)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(path, b"new, longer")
    assert tree(tmp_path) == {"state": b"old"}
    write_atomic(path, b"new")  # control: the same call without the fault
    assert tree(tmp_path) == {"state": b"new"}


def test_failed_first_write_leaves_nothing(tmp_path, monkeypatch):
    from train.storage.files import write_json

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "new.json", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_umask(tmp_path, umask, mode):
    from train.storage.files import write_atomic

    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file", b"")
        assert os.umask(umask) == umask  # and leaves it as it was
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_data_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    """The order is fsync of the file, rename, fsync of the folder; another order could leave an empty file."""
    from train.storage.files import write_atomic

    events = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(fd):
        events.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        fsync(fd)

    def noted_replace(self, target):
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomic(tmp_path / "file", b"x")
    assert events == ["sync file", "rename", "sync folder"]


# ---- snapshots ---------------------------------------------------------------------------------------


def test_snapshot_owns_its_bytes(tmp_path, one_thread):
    """Training on after a save changes nothing in the saved snapshot."""
    store, model = make_store(tmp_path), torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    live = model.state_dict()
    store.save_snapshot(0, live)
    store.save_resume(live, at(0))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    for name, value in before.items():
        assert not torch.equal(live[name], value)  # control: what was handed over has moved on
        assert torch.equal(store.load_snapshot(0)[name], value)
        found = store.load_resume()
        assert found is not None
        assert torch.equal(found[0][name], value)


def test_views_and_transposes_are_saved_whole(tmp_path):
    store = make_store(tmp_path)
    base = torch.arange(12.0).view(3, 4)
    store.save_snapshot(0, {"T": base.T, "row": base[1]})
    loaded = store.load_snapshot(0)
    assert torch.equal(loaded["T"], base.T)
    assert torch.equal(loaded["row"], torch.tensor([4.0, 5.0, 6.0, 7.0]))


def test_bytes_are_reproducible(tmp_path):
    files = []
    for folder in ("a", "b"):
        store = make_store(tmp_path / folder)
        for step in (0, 7):
            store.save_snapshot(step, weights())
        store.save_resume(weights(), at(7, 1.5))
        files.append(tree(store.path))
    assert files[0] == files[1]
    other = make_store(tmp_path / "c")
    other.save_snapshot(0, weights(seed=1))
    assert tree(other.path)["steps/00000000.safetensors"] != files[0]["steps/00000000.safetensors"]


def test_snapshot_is_a_plain_safetensors_file(tmp_path):
    """The safetensors library alone, without our code, reads a snapshot, with a single metadata key."""
    from safetensors import safe_open

    store = make_store(tmp_path)
    store.save_snapshot(12, weights())
    with safe_open(store.path / "steps" / "00000012.safetensors", "pt") as file:
        assert len(file.metadata()) == 1
        assert set(file.keys()) == set(weights())
        assert torch.equal(file.get_tensor("embed.W_E"), weights()["embed.W_E"])


def test_snapshot_is_written_once_and_compared(tmp_path):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.save_snapshot(3, weights())
    path = store.path / "steps" / "00000003.safetensors"
    before = path.stat()
    store.save_snapshot(3, weights())
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    with pytest.raises(DataError, match=r"00000003\.safetensors differs"):
        store.save_snapshot(3, weights(seed=1))
    assert torch.equal(store.load_snapshot(3)["embed.W_E"], weights()["embed.W_E"])


def flip(data: bytes) -> bytes:
    """The data with one bit of its last number flipped."""
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]


DAMAGE = {
    "a flipped bit": flip,
    "truncated": lambda data: data[:-5],
    "empty": lambda _: b"",
    "trailing bytes": lambda data: data + b"\0",
    "header cut": lambda data: data[:20],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_snapshot_names_its_file(tmp_path, damage):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    store.save_snapshot(1, weights(seed=1))
    path = store.path / "steps" / "00000001.safetensors"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(DataError, match=r"00000001\.safetensors"):
        store.load_snapshot(1)
    assert torch.equal(store.load_snapshot(0)["embed.W_E"], weights()["embed.W_E"])  # control: the others stay


def test_missing_snapshot_names_its_file(tmp_path):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    (store.path / "steps" / "00000000.safetensors").unlink()
    with pytest.raises(DataError, match=r"00000000\.safetensors cannot be read: No such file"):
        store.load_snapshot(0)


def test_only_the_manifest_is_trusted(tmp_path):
    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    steps = store.path / "steps"
    shutil.copy(steps / "00000000.safetensors", steps / "00000009.safetensors")
    assert store.steps == [0]
    with pytest.raises(KeyError):
        store.load_snapshot(9)


def test_steps_rise_whatever_the_order_of_saving(tmp_path):
    store = make_store(tmp_path)
    for step in (100, 3, 20):
        store.save_snapshot(step, weights(seed=step))
    assert store.steps == [3, 20, 100]
    assert json.loads((store.path / "manifest.json").read_text())["snapshots"][0].keys() == {
        "step",
        "file",
        "bytes",
        "sha256",
    }


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1]", '[{"file": "x"}]', '[{"step": 0}]'])
def test_damaged_manifest_is_named(tmp_path, text):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    (store.path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        store.load_snapshot(0)


# ---- resume state ------------------------------------------------------------------------------------


def test_resume_state_round_trip(tmp_path):
    store = make_store(tmp_path)
    assert store.load_resume() is None
    state = {"step": 5, "wall_s": 0.1 + 0.2, "rule": {"n_extra": 1, "test_loss": 1 / 3, "test_acc": None}}
    store.save_resume(weights(), at(1))
    store.save_resume(weights(seed=2), state)
    found = store.load_resume()
    assert found is not None
    tensors, loaded = found
    assert loaded == state  # floats to the last bit
    assert set(tensors) == set(weights())
    for name, value in weights(seed=2).items():
        assert torch.equal(tensors[name], value)
        assert not torch.equal(tensors[name], weights()[name])  # control: the first one was replaced


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_resume_state_is_named(tmp_path, damage):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.save_resume(weights(), at(1))
    path = store.path / "resume.safetensors"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(DataError, match=r"resume\.safetensors"):
        store.load_resume()


# ---- log ---------------------------------------------------------------------------------------------


def test_log_round_trip_and_truncation(tmp_path):
    store = make_store(tmp_path)
    assert store.read_log() == []
    rows = [{"step": step, "train_loss": 1 / (step + 3)} for step in range(6)]
    store.append_log(rows[:2])
    store.append_log(rows[2:])
    assert store.read_log() == rows
    store.save_resume(weights(), at(4))
    store.begin()
    assert store.read_log() == rows[:4]
    (store.path / "resume.safetensors").unlink()
    store.begin()
    assert store.read_log() == []


def test_torn_last_line_is_left_out_and_then_dropped(tmp_path):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.append_log([{"step": 0}, {"step": 1}])
    with (store.path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "train_l')
    assert [row["step"] for row in store.read_log()] == [0, 1]
    with pytest.raises(DataError, match="does not end in a whole row"):
        store.append_log([{"step": 2}])
    (store.path / "log.jsonl").write_bytes((store.path / "log.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n")
    store.save_resume(weights(), at(2))
    with (store.path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "train_l')
    store.begin()
    store.append_log([{"step": 2}])
    assert [row["step"] for row in store.read_log()] == [0, 1, 2]


@pytest.mark.parametrize("line", ['{"step": 1, "tra', "", "nonsense"])
def test_bad_middle_line_is_named(tmp_path, line):
    from train.errors import DataError

    store = make_store(tmp_path)
    store.append_log([{"step": 0}, {"step": 1}, {"step": 2}])
    lines = (store.path / "log.jsonl").read_text().splitlines()
    (store.path / "log.jsonl").write_text("\n".join([lines[0], line, lines[2], ""]))
    with pytest.raises(DataError, match=r"log\.jsonl line 2"):
        store.read_log()


# ---- the run itself ----------------------------------------------------------------------------------


def test_create_is_open_the_second_time(tmp_path):
    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    before = tree(tmp_path)
    again = make_store(tmp_path, steps=99)  # the number of steps is not part of a run's identity
    assert again.path == store.path
    assert again.steps == [0]
    assert make_store(tmp_path, seed=1).path != store.path  # control
    shutil.rmtree(make_store(tmp_path, seed=1).path)
    assert tree(tmp_path) == before


def test_another_config_on_disk_is_refused(tmp_path):
    from train.errors import UsageError

    store = make_store(tmp_path)
    shutil.copy(make_store(tmp_path / "other", train_frac=0.4).path / "run.json", store.path / "run.json")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=r"another config .*train_frac"):
        make_store(tmp_path)
    assert tree(tmp_path) == before


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    from train.errors import UsageError
    from train.storage.store import RunStore

    store = make_store(tmp_path)
    shutil.rmtree(store.path)
    store.path.mkdir()
    (store.path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="is not a run"):
        make_store(tmp_path)
    with pytest.raises(UsageError, match=r"is not a run: it has no run\.json"):
        RunStore.open(store.path)
    with pytest.raises(UsageError, match="is not a run"):
        RunStore.open(tmp_path / "nowhere")
    assert tree(store.path) == {"thesis.tex": b"precious"}
    shutil.rmtree(store.path)
    make_store(tmp_path)  # control


def test_a_run_killed_while_it_was_made_can_be_made_again(tmp_path):
    """A run that was killed before or during the write of run.json can be made again."""
    store = make_store(tmp_path)
    shutil.rmtree(store.path)
    (store.path / "steps").mkdir(parents=True)
    (store.path / ".run.json.abc123.tmp").write_text("{")
    store = make_store(tmp_path)
    with store.lock():
        assert set(tree(store.path)) == {"run.json"}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 999, "config": {}}', '{"format": 1}', '{"format": 1, "config": 3}']
)
def test_damaged_run_json_is_named(tmp_path, text):
    from train.errors import DataError
    from train.storage.store import RunStore

    path = make_store(tmp_path).path
    (path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json"):
        RunStore.open(path)


def test_sessions_and_steps_are_recorded(tmp_path):
    from train.config.settings import override

    store = make_store(tmp_path, steps=10)
    store.add_session(store.config, {"threads": 1})
    store.add_session(override(store.config, {"steps": 20}), {"threads": 2})
    assert store.info["sessions"] == [{"threads": 1}, {"threads": 2}]
    assert store.config.schedule.steps == 20


def test_done(tmp_path):
    store = make_store(tmp_path)
    assert store.done_step is None
    store.clear_done()  # nothing to take back is no error
    store.mark_done(100)
    assert store.done_step == 100
    store.clear_done()
    assert store.done_step is None


# ---- lock --------------------------------------------------------------------------------------------


def hold(path: Path) -> None:
    from train.storage.store import RunStore

    with RunStore(path).lock():
        (path / "held").touch()
        time.sleep(120)


def test_lock_names_its_holder_and_dies_with_it(tmp_path, forked):
    from train.errors import UsageError

    store = make_store(tmp_path)
    process = forked(hold, store.path)
    try:
        while not (store.path / "held").exists():
            assert process.is_alive()
            time.sleep(0.01)
        for _ in range(2):  # the first refusal must not wipe out the holder's name
            with pytest.raises(UsageError, match=f"pid {process.pid} on {socket.gethostname()}"), store.lock():
                pass
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -9
    with store.lock():
        assert str(os.getpid()) in (store.path / "LOCK").read_text()
    with store.lock():  # and it is free again
        pass


def test_leftovers_are_removed_under_the_lock(tmp_path):
    store = make_store(tmp_path)
    store.save_snapshot(0, weights())
    kept = tree(store.path)
    (store.path / ".resume.safetensors.k3j.tmp").touch()
    (store.path / "steps" / ".00000001.safetensors.x1y.tmp").touch()
    (store.path / "notes.tmp").write_text("mine")
    assert store.steps == [0]
    assert len(tree(store.path)) == len(kept) + 3  # control: reading removes nothing
    with store.lock():
        assert tree(store.path) == {**kept, "notes.tmp": b"mine"}
