"""Reading a run: opening it by name, its log and snapshots, and the answers of its model."""

import pytest
import torch
from oracles.handmade import handmade_run


@pytest.fixture
def run(tiny_run):
    from interp import open_run

    return open_run(tiny_run)


def test_open_by_directory_and_by_unique_prefix(tmp_path, monkeypatch):
    from interp import open_run

    monkeypatch.chdir(tmp_path)
    path = handmade_run(tmp_path / "checkpoints")
    for name in (path, "add-p23", "checkpoints/add-p23", path.name, "checkpoints"):
        assert open_run(name).name == path.name
    assert open_run("add", root=tmp_path / "checkpoints").path == path


def test_ambiguous_and_unknown_names(tmp_path):
    from interp import open_run
    from train.errors import UsageError

    first, second = handmade_run(tmp_path, p=23), handmade_run(tmp_path, p=29, keys=(2,))
    with pytest.raises(UsageError, match="beginning of 2 runs") as error:
        open_run("add-p2", root=tmp_path)
    assert first.name in str(error.value) and second.name in str(error.value)
    with pytest.raises(UsageError, match=f"did you mean '{second.name}'"):
        open_run("ad-p29", root=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="is not a run and holds none"):
        open_run(empty)
    assert open_run("add-p23", root=tmp_path).path == first  # control


def test_missing_step_names_the_nearest(tmp_path):
    from interp import open_run

    run = open_run(handmade_run(tmp_path))
    assert run.steps == [0, 10, 100, 1000, 10000]
    with pytest.raises(KeyError, match="nearest are 10, 100"):
        run[60]
    assert run.nearest(60).step == 100
    assert run.nearest(55).step == 10  # the earlier of two at one distance
    assert run[100] is run[100]
    assert run.last.step == 10000


def test_log_has_its_columns_and_every_step(run):
    assert list(run.log.columns)[:5] == ["step", "train_loss", "test_loss", "train_acc", "test_acc"]
    assert run.log["step"].tolist() == list(range(301))
    assert run.log["train_loss"].notna().all()
    assert set(run.steps) <= set(run.evaluations["step"])


def test_logits_are_a_major_and_the_loss_is_the_logs(run):
    snap = run.last
    assert not snap.model.training
    assert snap.logits.shape == (121, 12)
    with torch.no_grad():
        by_row = torch.stack([snap.model(torch.tensor([[a, b, 11]]))[0, -1] for a in range(11) for b in range(11)])
    torch.testing.assert_close(snap.logits, by_row, rtol=1e-4, atol=1e-5)
    row = run.evaluations.set_index("step").loc[snap.step]
    assert snap.loss("train") == pytest.approx(row["train_loss"], rel=1e-4)
    assert snap.loss("test") == pytest.approx(row["test_loss"], rel=1e-4)
    assert snap.accuracy("test") == row["test_acc"]
    n_train, n_test = len(run.task.rows("train")), len(run.task.rows("test"))
    mean = (n_train * snap.loss("train") + n_test * snap.loss("test")) / (n_train + n_test)
    assert snap.loss("all") == pytest.approx(mean, rel=1e-9)


def test_hooks_act_in_the_loss_and_go_away(run):
    snap = run.last
    before = snap.loss("train")

    def ablate(post, hook):
        return torch.zeros_like(post)

    with snap.model.hooks(fwd_hooks=[("blocks.0.mlp.hook_post", ablate)]):
        assert snap.loss("train") > 2 * before
    assert snap.loss("train") == before


def test_rows_are_one_batch_under_hooks_alone(run, monkeypatch):
    from interp.runs import snapshot as snapshots

    snap, seen = run.last, []
    before = snap.loss("all")
    monkeypatch.setattr(snapshots, "CHUNK_ROWS", 50)
    with snap.model.hooks(fwd_hooks=[("hook_embed", lambda x, hook: seen.append(len(x)))]):
        assert snap.loss("all") == before
    assert seen == [121]
    handle = snap.model.register_forward_pre_hook(lambda model, args: seen.append(len(args[0])))
    assert snap.loss("all") == pytest.approx(before, rel=1e-6) and seen == [121, 50, 50, 21]
    handle.remove()


def test_run_with_cache_holds_every_row(run):
    logits, cache = run.last.run_with_cache()
    assert logits.shape == (121, 3, 12)
    assert cache["blocks.0.mlp.hook_post"].shape == (121, 3, 32)
    torch.testing.assert_close(logits[:, -1], run.last.logits)


def test_values_that_are_not_finite_are_named(tmp_path):
    from interp import open_run
    from train.errors import DataError

    run = open_run(handmade_run(tmp_path))
    weights = run.weights(100)
    weights["embed.W_E"][0, 0] = torch.nan
    run.store.save_snapshot(200, weights)
    with pytest.raises(DataError, match="embed.W_E at step 200"):
        open_run(run.path).weights(200)
    assert list(open_run(run.path).problems()) == [200]


def test_corrupt_snapshots_are_found_and_passed_over(tmp_path):
    from interp.runs.run import Run
    from train.storage.store import RunStore

    path = handmade_run(tmp_path)
    file = path / "steps/00000010.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    run = Run(RunStore.open(path))
    assert list(run.problems()) == [10]
    assert Run(run.store, without=run.problems()).steps == [0, 100, 1000, 10000]


def test_snapshot_that_does_not_fit_its_config(tmp_path):
    from interp import open_run
    from train.errors import DataError

    run = open_run(handmade_run(tmp_path))
    for name, pad in (("embed.W_E", (0, 1)), ("blocks.1.mlp.W_in", None)):
        weights = run.weights(100)
        weights[name] = torch.nn.functional.pad(weights[name], pad) if pad else torch.zeros(2, 2)
        run.store.save_snapshot(1_000_000 + len(name), weights)
        with pytest.raises(DataError, match="does not fit its config"):
            _ = open_run(run.path).last.model
