"""Runs of attention-only models: parts that need neurons say that there are none, and no part fails."""

import pytest
import torch
from oracles.runs import SHAPES, random_run

SHAPE = SHAPES["attention"]
DEEP = {**SHAPE, "n_layers": 2, "norm": "pre"}
POST = {**SHAPE, "norm": "post", "op": "compose", "p": None, "group": "S3"}


@pytest.mark.parametrize("shape", [SHAPE, DEEP, POST], ids=["plain", "deep", "post"])
def test_measures_that_need_neurons_are_unavailable_and_the_others_are_numbers(tmp_path, shape):
    from interp.measures import measure_snapshot
    from interp.parts.activations import all_logits
    from interp.parts.memo import Unavailable
    from interp.parts.validity import NO_NEURONS

    snap = random_run(tmp_path, **shape).last
    expected = snap.model(snap.task.tokens)[:, -1].detach()
    atol = 1e3 * torch.finfo(torch.float32).eps * float(expected.abs().max())  # another order of some hundred sums
    torch.testing.assert_close(all_logits(snap), expected, rtol=0, atol=atol)
    found = measure_snapshot(snap)
    without = {name for name, value in found.items() if isinstance(value, Unavailable) and value.reason == NO_NEURONS}
    of_neurons = {name for name in found if name.startswith(("W_L_", "W_neur_", "neuron_", "dead_neuron"))}
    assert len(of_neurons) > 5 and all(isinstance(found[name], Unavailable) for name in of_neurons)
    if shape is SHAPE:  # deeper models and groups lack other things too, which are said first
        assert of_neurons | {"key_freqs_nanda"} <= without
    assert found["test_loss"] == pytest.approx(snap.loss("test"))
    assert len(found) - len(without) > 20


def test_circuits_leave_the_neurons_out(tmp_path):
    from interp.circuits import ablations, patch_inputs

    snap = random_run(tmp_path, **DEEP).last
    table = patch_inputs(snap, [8], [40])
    assert set(table.activation) == {"resid_pre", "attn_out", "z", "q", "k", "v", "pattern"}
    found = ablations(snap, ks=[1])
    assert set(found["kind"]) == {"none", "head", "frequency"}
    assert not found["part"].str.contains("mlp").any()


def test_the_report_is_whole(tmp_path, capsys, monkeypatch):
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training
    from interp.report import main

    monkeypatch.setattr(maps, "umap_beside", lambda rows: lambda: pca_over_training(rows)[0])
    run = random_run(tmp_path, **SHAPE)
    assert main([str(run.path), "--out", str(tmp_path / "report"), "--quiet"]) == 0, capsys.readouterr().err
    page = (tmp_path / "report/index.html").read_text()
    assert "Not shown: an attention-only model has no neurons." in page
    assert "are not ablated:" in page
    assert not (tmp_path / "report/errors.txt").exists()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"act_fn": "gelu"}, "act_fn = 'gelu' belongs to the MLP, and attn_only leaves the MLP out"),
        ({"d_mlp": 512}, "d_mlp = 512 belongs to the MLP"),
        ({"arch": "mlp"}, "attn_only needs arch transformer"),
    ],
)
def test_settings_of_an_mlp_that_is_not_there_are_refused(fields, says):
    from train.config.model import ModelConfig

    with pytest.raises(ValueError, match=says):
        ModelConfig(attn_only=True, **fields)
