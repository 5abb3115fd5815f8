"""Everything read from a run is verified: damage is reported, repaired where possible, and never trained on."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from tiny_states import CONFIG, SECOND, THIRD, config_of, laid_out, quick, reading, train_on, tree_of

pytestmark = pytest.mark.usefixtures("one_thread")
FIXTURE = Path(__file__).parents[2] / "fixtures" / "format1" / "add-p5-s0-fce75be7"
"""A run of format 1, stopped at step 7 of 12, as the code wrote it that had no other."""


@pytest.fixture(scope="module")
def made(tiny_states):
    """The tiny runs by name."""
    return {case.name: case for case in tiny_states}


@pytest.fixture
def copy(made, tmp_path):
    """``copy(name)``: the directory of a copy of a tiny run, to be damaged, under a fixed clock."""
    with quick():
        yield lambda name="stopped": laid_out(tmp_path / name, made[name], made[name].tree)


def flip(path: Path, at: int = -2) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


# ---- resume states -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stopped", "done", "killed"])
@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"no")], ids=["bit", "gone", "no"])
def test_a_damaged_state_is_replaced_by_the_one_before(made, copy, name, damage):
    """A damaged resume state is reported once, the previous one is used, and the run equals the undamaged one."""
    path = copy(name)
    damage(path / "resume.safetensors")
    notes = train_on(path.parent, config_of(THIRD))
    assert (
        len(notes) == 1
        and "resume.safetensors" in notes[0]
        and "going on from the state before it, of step" in notes[0]
    )
    found = reading(path)
    for part in ("log", "weights", "manifest", "done"):
        assert found[part] == made[name].resumed[part], part
    assert json.loads((path / "run.json").read_text())["sessions"][-1]["notes"] == notes
    assert train_on(path.parent, config_of(THIRD + 1)) == []  # control: said once


def test_both_states_damaged_train_nothing(copy):
    from train.errors import DataError

    path = copy("done")
    for name in ("resume.safetensors", "resume.previous.safetensors"):
        flip(path / name)
    flip(path / "steps" / "00000008.safetensors")
    before = tree_of(path)
    with pytest.raises(DataError) as error:
        train_on(path.parent, config_of(THIRD))
    assert {**tree_of(path), "LOCK": b""} == {**before, "LOCK": b""}
    text = str(error.value)
    states = f"rm {path}/resume.safetensors {path}/resume.previous.safetensors"
    assert "the newest good snapshot is of step 5" in text and text.endswith(f"{states} && python -m train.run --p 3")
    assert "\n" not in text


def test_the_command_that_restarts_does(made, copy):
    path = copy("stopped")
    for name in ("resume.safetensors", "resume.previous.safetensors"):
        (path / name).unlink()
    (note,) = train_on(path.parent, config_of(THIRD))
    assert "starts at step 0 again" in note
    assert reading(path)["weights"] == made["stopped"].resumed["weights"]


def test_there_is_a_whole_state_at_every_moment(tmp_path, monkeypatch):
    """An intact resume state exists even if a replacement is interrupted after any of its steps."""
    from train.errors import DataError
    from train.storage.store import RunStore

    with quick():
        path = tmp_path / config_of(THIRD).run_id
        train_on(tmp_path, config_of(4))
        replace, seen = os.replace, []

        def checked(source, target, **kwargs):
            replace(source, target, **kwargs)
            if "resume" in str(target):
                try:
                    seen.append(RunStore(path).load_resume()[1]["step"])  # type: ignore[index]
                except DataError:
                    seen.append(None)

        monkeypatch.setattr(os, "replace", checked)
        train_on(tmp_path, config_of(THIRD))
    assert None not in seen and len(seen) > 4 and seen == sorted(seen)


def test_a_state_of_another_model_is_not_loaded(copy):
    """A state is refused before any tensor is used if names, shapes or types are not the model's."""
    from train.errors import DataError
    from train.storage.store import RunStore

    for name, change in (
        ("model.embed.W_E", lambda t: t[:, :-1]),
        ("exp_avg.embed.W_E", lambda t: t[:, :-1]),
        ("exp_avg.embed.W_E", lambda t: t.double()),
    ):
        path = copy()
        store = RunStore(path)
        tensors, state = store.load_resume()  # type: ignore[misc]
        store.save_resume({**tensors, name: change(tensors[name])}, state)
        with pytest.raises(DataError, match="does not fit"):
            train_on(path.parent, config_of(THIRD))
        shutil.rmtree(path.parent)


# ---- the log -----------------------------------------------------------------------------------------


def test_a_bad_row_after_the_state_stops_nothing_and_is_said_by_readers(made, copy):
    from train.errors import DataError

    path = copy("killed")
    lines = (path / "log.jsonl").read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["step"] for line in lines[:7]] == list(range(7))
    lines[6] = lines[6].replace(b'"step": 6', b'"step": 7')  # the state is of step 5
    (path / "log.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"log\.jsonl line 7"):
        reading(path)
    assert train_on(path.parent, config_of(THIRD)) == []
    assert reading(path) == made["killed"].resumed


def test_a_bad_row_before_the_state_is_named_or_the_state_before_it_taken(made, copy):
    from train.errors import DataError

    for line, outcome in ((7, "falls back"), (1, "refused")):
        path = copy("stopped")  # at 7, and at 3 before
        data = (path / "log.jsonl").read_bytes().splitlines(keepends=True)
        data[line - 1] = data[line - 1].replace(b"train_loss", b"train_lose")
        (path / "log.jsonl").write_bytes(b"".join(data))
        if outcome == "refused":
            with pytest.raises(DataError, match=r"log\.jsonl line 1 .*Nothing was trained"):
                train_on(path.parent, config_of(THIRD))
        else:
            (note,) = train_on(path.parent, config_of(THIRD))
            assert "log.jsonl line 7" in note and "state before it" in note
            assert reading(path)["log"] == made["stopped"].resumed["log"]
        shutil.rmtree(path.parent)


# ---- files of two runs, and of two times ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["manifest.json", "DONE", "log.jsonl", "steps/00000005.safetensors", "resume.safetensors"]
)
def test_files_of_another_run_are_refused(made, copy, name):
    from train.errors import DataError
    from train.storage.store import RunStore

    path = copy("done")
    (path / name).write_bytes(made["done"].other[name])
    if name == "resume.safetensors":
        assert "belongs to run add-p3-s1" in train_on(path.parent, config_of(THIRD))[0]
        return
    with pytest.raises(DataError):
        reading(path)
    assert reading(copy("stopped")) == made["stopped"].read  # control
    assert RunStore(path).run_id == config_of(SECOND).run_id


def test_a_renamed_directory_is_fine(made, copy):
    path = copy("done")
    path = path.rename(path.parent / "my favourite")
    assert reading(path) == made["done"].read


@pytest.mark.parametrize("name", ["run.json", "manifest.json", "log.jsonl"])
def test_an_earlier_generation_is_no_newest(made, copy, name):
    from train.errors import DataError

    for kind in ("done", "stopped"):
        path = copy(kind)
        (path / name).write_bytes(made[kind].stale[0][name])
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            reading(path)


# ---- the manifest --------------------------------------------------------------------------------------


def test_a_missing_manifest_is_said_and_rebuilt(made, copy):
    from train.errors import DataError

    path = copy("done")
    (path / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json is missing beside 5 snapshots: run the training command"):
        reading(path)
    flip(path / "steps" / "00000002.safetensors")
    (note,) = train_on(path.parent, config_of(THIRD))
    assert "rebuilt from 4 snapshots that verify; left out, for they do not verify: step 2" in note
    found = reading(path)["weights"]
    assert {**found, 2: made["done"].resumed["weights"][2]} == made["done"].resumed["weights"]


@pytest.mark.parametrize(
    "file", ["/dev/zero", "../x", "steps/../../x", "steps/x\0", "", "steps/", "/etc/passwd", "steps/a/b"]
)
def test_a_manifest_names_its_own_files_alone(copy, file):
    from mutations import reseal

    from train.errors import DataError
    from train.storage.store import RunStore

    path = copy("done")
    document = json.loads((path / "manifest.json").read_text())
    document["snapshots"][0]["file"] = file
    document.pop("sha256")
    (path / "manifest.json").write_bytes(reseal(json.dumps(document).encode()))
    with pytest.raises(DataError, match=r"manifest\.json"):
        RunStore.open(path).load_snapshot(0)


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda p: p.symlink_to("/dev/zero")], ids=["pipe", "dir", "link"]
)
@pytest.mark.parametrize(
    "name", ["run.json", "log.jsonl", "manifest.json", "DONE", "LOCK", "steps/00000005.safetensors"]
)
def test_only_regular_files_are_read(copy, name, make):
    from train.errors import DataError

    path = copy("done")
    (path / name).unlink()
    make(path / name)
    with pytest.raises(DataError):
        reading(path)
        train_on(path.parent, config_of(THIRD))


def test_no_link_leads_out_of_the_run(made, copy, tmp_path):
    """A link in the place of ``steps`` is neither read, written nor cleaned up through; one to the run is allowed."""
    from train.errors import DataError

    path = copy("done")
    (tmp_path / "link").symlink_to(path)
    assert reading(tmp_path / "link") == made["done"].read
    outside = (path / "steps").rename(tmp_path / "outside")
    (outside / ".mine.tmp").touch()
    (path / "steps").symlink_to(outside)
    before = tree_of(outside)
    with pytest.raises(DataError, match="steps is a link"):
        reading(path)
    with pytest.raises(DataError, match="steps is a link"):
        train_on(path.parent, config_of(THIRD))
    assert tree_of(outside) == before


def test_a_hundred_thousand_snapshots_open_at_once(tmp_path):
    """Opening a run of 100,000 snapshots parses its manifest once: under 4 s of CPU with every call type-checked."""
    import time

    from train.storage.files import write_atomic
    from train.storage.manifest import pack_snapshot, render_manifest, write_snapshot
    from train.storage.store import RunStore

    store, weights = RunStore.create(tmp_path, config_of(THIRD)), {"x": torch.zeros(2)}
    rest = {"bytes": 100, "sha256": "ab" * 32}
    entries = {step: {"step": step, "file": f"steps/{step:08d}.safetensors", **rest} for step in range(100_000)}
    for step in range(300):
        data, entries[step] = pack_snapshot(step, weights, store.run_id)
        write_snapshot(store.path, step, data)
    write_atomic(store.path / "manifest.json", render_manifest(entries, store.run_id))
    started = time.process_time()
    store = RunStore.open(store.path)
    assert len(store.steps) == 100_000
    for step in range(300):
        store.load_snapshot(step)
    assert time.process_time() - started < 4  # with every call type-checked; about 0.6 s without


# ---- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{"n_layers": 10_000}, {"d_model": 20_000, "n_heads": 1}, {"d_mlp": 1_000_000}, {"p": 4999}]
)
def test_sizes_are_compared_before_a_model_or_a_table_is_made(tmp_path, fields):
    """A config that claims a huge model over a small snapshot is refused without taking memory or time."""
    import resource
    import time

    from interp import open_run
    from train.errors import DataError
    from train.model import build_model
    from train.storage.store import RunStore

    store = RunStore.create(tmp_path, config_of(1, **fields))
    run = open_run(store.path)  # a fresh run is merely opened
    assert run.steps == [] and "no snapshots" in repr(run)
    store.save_snapshot(0, build_model(config_of(1)).state_dict())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for read in (lambda run: run.last.model, lambda run: run.task):
        with pytest.raises(DataError, match="does not fit its config"):
            read(open_run(store.path))
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


# ---- the format before ---------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path) -> Path:
    return shutil.copytree(FIXTURE, tmp_path / "old" / FIXTURE.name)


def test_a_run_of_format_1_is_read_and_called_not_verified(old):
    from interp import open_run

    run = open_run(old)
    assert run.store.doubt is not None and "not verified" in run.store.doubt and "not verified" in repr(run)
    assert run.log["step"].tolist() == list(range(8)) and run.steps == [0, 1]
    assert tree_of(old) == tree_of(FIXTURE)


def test_it_is_upgraded_when_trained_on(old):
    """Resuming an old run seals every file, keeps the weights bit for bit, and continues them."""
    from safetensors.torch import load_file

    from train.config.run import RunConfig
    from train.config.settings import override
    from train.storage.store import RunStore

    config = override(RunConfig(), {**CONFIG, "p": 5, "per_decade": 1, "steps": 12})
    assert config.run_id == FIXTURE.name
    with quick():
        (note,) = train_on(old.parent, config)
        assert "not verified" in note and "upgraded" in note
        assert train_on(old.parent, override(config, {"steps": 13})) == []
    store = RunStore.open(old)
    assert store.doubt is None and store.done_step == 13 and len(store.read_log()) == 14
    for step in (0, 1):
        ours, theirs = store.load_snapshot(step), load_file(FIXTURE / "steps" / f"{step:08d}.safetensors")
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = [json.loads(line) for line in (FIXTURE / "log.jsonl").read_text().splitlines()]
    assert store.read_log()[:7] == rows[:7]
    flip(old / "run.json", at=40)  # control: now it is verified
    with pytest.raises(RuntimeError):
        _ = RunStore(old).info


@pytest.mark.parametrize("cut", range(1, 7))
def test_an_upgrade_that_is_cut_off_is_taken_up_again(old, tmp_path, monkeypatch, cut):
    from train.config.run import RunConfig
    from train.config.settings import override
    from train.storage.store import RunStore

    config = override(RunConfig(), {**CONFIG, "p": 5, "per_decade": 1, "steps": 12})
    whole = shutil.copytree(old, tmp_path / "whole" / old.name)
    replace, left = os.replace, cut
    with quick():
        train_on(whole.parent, config)
        with monkeypatch.context() as patch:

            def dying(source, target, **kwargs):
                nonlocal left
                left -= 1
                if left <= 0:
                    raise OSError(5, "Input/output error")
                replace(source, target, **kwargs)

            patch.setattr(os, "replace", dying)
            with pytest.raises(OSError, match="Input"):
                train_on(old.parent, config)
        train_on(old.parent, config)
        ours, theirs = reading(old), reading(whole)
    for part in ("weights", "manifest", "log", "done"):
        assert ours[part] == theirs[part], part
    assert RunStore(old).doubt is None


# ---- no space ------------------------------------------------------------------------------------------


def test_no_space_names_the_file_and_the_bytes(tmp_path, monkeypatch):
    from train.storage.files import append, write_atomic

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for write in (lambda path: write_atomic(path, b"x" * 1234), lambda path: append(path, b"x" * 1234, 0)):
        with pytest.raises(
            OSError, match=rf"No space left on device: {tmp_path}/file needs 1,234 bytes; [0-9,]+ are free"
        ):
            write(tmp_path / "file")


# ---- bombs ---------------------------------------------------------------------------------------------

BOMBS = {
    "10 GB of holes": lambda path: os.truncate(path, 10**10),
    "many lists": lambda path: path.write_bytes(b"[" + b"[]," * 1_000_000 + b"1]"),
    "deep": lambda path: path.write_bytes(b"[" * 1_000_000),
    "a long number": lambda path: path.write_bytes(b"9" * 1_000_000),
    "many names": lambda path: path.write_bytes(b'{"":' * 20 + b"{" + b",".join(b'"%d":1' % i for i in range(150_000))),
}


@pytest.mark.parametrize("name", ["run.json", "manifest.json", "DONE", "log.jsonl", "steps/00000005.safetensors"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_an_error_at_once(copy, name, bomb):
    """Any file is refused within 2 s of CPU time and 500 MB of memory."""
    import resource
    import time

    from train.errors import DataError

    path = copy("done")
    BOMBS[bomb](path / name)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError) as error:
        reading(path)
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
    assert len(str(error.value)) < 1000
