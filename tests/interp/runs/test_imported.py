"""Imported runs: on disk, opened, measured and reported."""

import pytest
import torch
from oracles.runs import SHAPES, random_run

ORIGIN = {
    "source": "stranger.pt",
    "sha256": "ab" * 32,
    "layout": "nanda",
    "unknown": ["optim", "schedule", "seed", "task.train_frac", "task.split", "task.split_seed"],
}


@pytest.fixture
def imported(tmp_path):
    """``imported(shape, is_train=None, **more)``: (a random run, the path of an import of its last snapshot)."""

    def make(shape="add", is_train=None, **more):
        from train.storage.imported import write_imported

        run = random_run(tmp_path / "source", **{**SHAPES[shape], **more})
        config = run.config.to_dict()
        known = {"task": {n: v for n, v in config["task"].items() if "split" not in n and n != "train_frac"}}
        path = tmp_path / "out" / "stranger"
        snapshots = {step: run.weights(step) for step in run.steps[-1:]}
        write_imported(path, {**known, "model": config["model"]}, ORIGIN, snapshots, is_train)
        return run, path

    return make


def test_it_opens_as_the_same_model_with_an_unknown_split(imported):
    from interp import open_run

    run, path = imported()
    found = open_run(path)
    assert torch.equal(found.last.logits, run.last.logits)
    assert found.task.is_train is None and run.task.is_train is not None
    assert found.origin.kind == "imported" and found.origin.source == "stranger.pt"
    assert not found.origin.knows("optim") and not found.origin.knows("optim.lr")
    assert not found.origin.knows("task.train_frac") and found.origin.knows("task.op")
    assert run.origin.kind == "trained" and run.origin.knows("optim")
    assert found.is_done
    assert list(found.log.columns)[:2] == ["step", "train_loss"] and len(found.log) == 0
    assert not found.path.with_name(".stranger").exists() and [p.name for p in path.parent.iterdir()] == ["stranger"]


def test_train_and_test_measures_are_unavailable_without_a_split(imported):
    from interp import open_run
    from interp.measures import measure_snapshot
    from interp.parts.memo import Unavailable

    run, path = imported()
    names = ["train_loss", "test_acc", "excluded_loss_logit2d_train", "restricted_loss_neuron_test", "all_loss"]
    found = measure_snapshot(open_run(path, key_freqs=[1]).last, names)
    for name in names[:-1]:
        assert isinstance(found[name], Unavailable) and "split" in found[name].reason, name
    assert found["all_loss"] == measure_snapshot(run.last, ["all_loss"])["all_loss"]


def test_a_stored_split_is_the_split(imported):
    from interp import open_run
    from interp.measures import measure_snapshot

    is_train = torch.rand(121, generator=torch.Generator().manual_seed(4)) < 0.3
    _, path = imported(is_train=is_train)
    run = open_run(path)
    assert run.task.is_train is not None and torch.equal(run.task.is_train, is_train)
    rows = is_train.nonzero().flatten()
    logp = run.last.logits[rows].double().log_softmax(-1)
    expected = -logp[torch.arange(len(rows)), run.task.labels[rows, 0]].mean()
    assert measure_snapshot(run.last, ["train_loss"])["train_loss"] == pytest.approx(float(expected))


def test_writing_it_again_changes_nothing_and_another_is_refused(imported, tmp_path):
    from interp import open_run
    from train.errors import UsageError
    from train.storage.imported import write_imported

    run, path = imported()
    found, before = open_run(path), sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*"))
    snapshots = {found.last.step: run.last.run.weights(found.last.step)}
    info = found.store.info
    write_imported(path, info["config"], ORIGIN, snapshots, None)
    assert sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*")) == before
    with pytest.raises(UsageError, match="is not this import"):
        write_imported(path, info["config"], {**ORIGIN, "sha256": "cd" * 32}, snapshots, None)
    changed = {step: {name: t + 1 for name, t in weights.items()} for step, weights in snapshots.items()}
    for other, split in ((changed, None), ({9: snapshots[10]}, None), (snapshots, torch.ones(121, dtype=torch.bool))):
        with pytest.raises(UsageError, match="is not this import"):
            write_imported(path, info["config"], ORIGIN, other, split)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is not this import"):
        write_imported(tmp_path / "mine", info["config"], ORIGIN, snapshots, None)


def test_a_failure_leaves_nothing(imported, tmp_path):
    from train.storage.imported import write_imported

    run, _ = imported()
    with pytest.raises(ValueError, match="max"):
        write_imported(tmp_path / "empty" / "run", run.config.to_dict(), ORIGIN, {}, None)
    assert list((tmp_path / "empty").iterdir()) == []


def test_it_cannot_be_trained_on(imported, tmp_path):
    from train.errors import UsageError
    from train.storage.store import RunStore

    run, path = imported()
    path.rename(path.with_name(run.config.run_id))
    with pytest.raises(UsageError, match="holds an imported model"):
        RunStore.create(path.parent, run.config)


def test_the_training_command_refuses_it_in_a_line(imported, capsys):
    from train.config.run import RunConfig
    from train.run import main

    _, path = imported()
    path = path.rename(path.with_name(RunConfig().run_id))
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert main(["--out", str(path.parent), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert "holds an imported model" in printed.err and len(printed.err.splitlines()) == 1
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("shape", "more", "says"),
    [
        ("add", {}, "optimiser unknown"),
        ("mlp", {"shared_vocabulary": False}, "embedding of the second operand"),
        ("pizza", {"shared_vocabulary": False, "outputs": "answers"}, "embedding of the second operand"),
        ("group", {}, "S3 is not cyclic"),
    ],
)
def test_its_report_says_what_is_unknown(imported, tmp_path, shape, more, says, monkeypatch, capsys):
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training
    from interp.report import main

    monkeypatch.setattr(maps, "umap_beside", lambda rows: lambda: pca_over_training(rows)[0])
    _, path = imported(shape, **more)
    assert main([str(path), "--out", str(tmp_path / "report"), "--quiet"]) == 0, capsys.readouterr().err
    html = (tmp_path / "report/index.html").read_text()
    assert "optimiser unknown" in html and "stranger.pt" in html and "ab" * 32 in html
    assert "trained on an unknown part" in html and "unknown which rows the model was trained on" in html
    assert "seed 0" not in html.partition("</h1>")[0]
    assert says in html
    assert not (tmp_path / "report/errors.txt").exists()


def test_measures_of_two_vocabularies(imported):
    """Each operand has its own embedding; the published code averages both, which halves the circularity."""
    from interp import open_run
    from interp.measures import measure_snapshot

    run, path = imported("pizza", shared_vocabulary=False, outputs="answers")
    found = measure_snapshot(open_run(path, key_freqs=[1]).last)
    p, W_E = 7, run.weights(10)["embed.W_E"].double()
    for name, rows in (("W_E_energy", W_E[:p]), ("W_E_b_energy", W_E[p : 2 * p])):
        spectrum = torch.fft.fft(rows, dim=0).abs().square().sum(dim=1) / p
        expected = {k: float(2 * spectrum[k] / rows.square().sum()) for k in (1, 2, 3)}
        assert found[name] == pytest.approx(expected)
    assert found["circularity"] != found["circularity_b"]
    assert measure_snapshot(random_shared(path.parent), ["circularity_b"])["circularity_b"].reason.startswith("both")


def random_shared(root):
    return random_run(root, **SHAPES["pizza"]).last
