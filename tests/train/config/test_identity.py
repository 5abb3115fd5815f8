"""A run's id: what it was when it was first given, whatever the defaults are today."""

import pytest

PRESETS = {
    "nanda": "add-p113-s0-bed7f234",
    "tl-demo": "add-p113-s999-df57a4c2",
    "power": "div-p97-s0-0adb10bd",
    "power-fig1": "div-p97-s0-cd3ede33",
    "zhong": "add-p59-s0-36ba1f50",
    "s5": "compose-s5-s1-12aed797",
    "fast": "add-p113-s0-44afe7ec",
    "quick": "add-p53-s0-daaace6f",
}
GROKFAST = {"grokfast_alpha": 0.98, "grokfast_lambda": 5.0, "grokfast_from": 100, "weight_decay": 0.01}
OTHERS = [
    ({}, "add-p113-s0-44136fa3"),
    ({"seed": 7}, "add-p113-s7-beced1fe"),
    ({"steps": 40_000}, "add-p113-s0-44136fa3"),
    ({"p": 59, "op": "mul", "train_frac": 0.4}, "mul-p59-s0-c48d3cb5"),
    ({"op": "compose", "group": "S4", "train_frac": 0.5}, "compose-s4-s0-12b6abae"),
    ({"arch": "mlp", "layout": "a b", "d_mlp": 256, "n_layers": 2}, "add-p113-s0-4f1c35c8"),
    (
        {"split": "torch", "n_layers": 2, "norm": "pre", "act_fn": "gelu", "attention": "bidirectional"},
        "add-p113-s0-baace5be",
    ),
    ({"attn_only": True, "d_head": 16, "n_heads": 2, "positions": "sinusoidal"}, "add-p113-s0-03588209"),
    (GROKFAST, "add-p113-s0-3c5cbc11"),
    (
        {"optimizer": "muon", "muon_momentum": 0.9, "update_noise": 0.1, "lr": 3e-4, "dropout": 0.1},
        "add-p113-s0-7bd81075",
    ),
    (
        {"loss": "stablemax", "loss_precision": "float32", "precision": "bfloat16", "norm_clamp": 1.5},
        "add-p113-s0-618807e9",
    ),
    (
        {"op": "x2_y2", "p": 31, "outliers": 5, "split_seed": 3, "shared_vocabulary": False}
        | {"batch_size": 64, "per_decade": 8},
        "x2_y2-p31-s0-25574ca2",
    ),
]
"""Settings beside ``split = "stream"``, the default of the time, and the ids that such runs had then."""


@pytest.mark.parametrize("name", PRESETS)
def test_presets_keep_their_ids(name):
    from train.config.presets import find_preset

    assert find_preset(name).config.run_id == PRESETS[name]


@pytest.mark.parametrize(("fields", "run_id"), OTHERS, ids=lambda value: str(value)[:40])
def test_other_runs_keep_their_ids(fields, run_id):
    from train.config.run import RunConfig
    from train.config.settings import override

    assert override(RunConfig(), {"split": "stream"} | fields).run_id == run_id
