"""A run's id never changes, whatever the defaults are today."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

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


@pytest.mark.slow
def test_every_setting_has_a_reference_value():
    """The table has a line for each setting, so that later changes of defaults rename no run."""
    import settings_table

    from train.config.reference import REFERENCE

    assert set(REFERENCE) == set(settings_table.names())


def test_a_setting_newer_than_the_table_renames_no_run(monkeypatch):
    """A setting missing from the table is left out of ids at its default alone; the table names existing settings."""
    import settings_table

    from train.config import reference
    from train.config.run import RunConfig

    assert set(reference.REFERENCE) <= set(settings_table.names())
    rest = {name: value for name, value in reference.REFERENCE.items() if name != "optim.eps"}
    before, other = RunConfig().run_id, RunConfig().with_(eps=1e-6).run_id
    monkeypatch.setattr(reference, "REFERENCE", rest)
    assert RunConfig().run_id == before
    assert RunConfig().with_(eps=1e-6).run_id == other != before


CHANGES = [
    ("task.py", 'split: Split = "python"', 'split: Split = "torch"'),
    ("task.py", "p: int | None = 113", "p: int | None = 97"),
    ("optim.py", "lr: float = 1e-3", "lr: float = 2e-3"),
    ("model.py", "n_layers: int = 1", "n_layers: int = 2"),
    ("model.py", 'biases: Biases = "mlp"', 'biases: Biases = "all"'),
    ("run.py", "per_decade: int = 16", "per_decade: int = 8"),
    ("run.py", "seed: int = 0", "seed: int = 5"),
    ("run.py", "steps: int = 15_000", "steps: int = 9_000"),
]
"""Edits of files of train/config/ that change defaults."""
SCRIPT = """
import json, sys
from pathlib import Path
from train.config.run import RunConfig
from train.storage.store import RunStore

asked = json.load(sys.stdin)
ids = [RunConfig.from_dict(data).run_id for data in asked["configs"]]
print(json.dumps({
    "ids": ids, "default": RunConfig().run_id, "fields": RunConfig().to_dict(),
    "old": RunStore.open(Path(asked["old"])).run_id,
}))
"""
OLD = Path(__file__).parents[2] / "fixtures" / "format1" / "add-p5-s0-fce75be7"


def answers_of(folder, configs):
    """The ids that the package in ``folder`` gives to configs, to its default run and to the old run on disk."""
    asked = json.dumps({"configs": configs, "old": str(OLD)})
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{SCRIPT}"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_changed_defaults_rename_no_run_and_share_no_id(tmp_path):
    """In a copy with other defaults, old files keep their ids, and the new default run shares none of them."""
    from train.config.run import RunConfig
    from train.config.settings import override

    shutil.copytree(ROOT / "train", tmp_path / "train", ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in CHANGES:
        path = tmp_path / "train/config" / name
        text = path.read_text()
        assert text.count(before) == 1, f"{name} has changed: put the edit right"
        path.write_text(text.replace(before, after))
    asked = [override(RunConfig(), {"split": "stream"} | fields) for fields, _ in OTHERS] + [RunConfig()]
    copy = answers_of(tmp_path, [config.to_dict() for config in asked])
    assert copy["ids"] == [config.run_id for config in asked]
    assert copy["default"] not in copy["ids"]
    assert copy["default"] == RunConfig.from_dict(copy["fields"]).run_id
    assert copy["old"] == OLD.name


def test_the_ids_of_configs_that_differ_differ():
    """Two configs of different settings, the default run included, have different identities (steps aside)."""
    import settings_table

    from train.config.run import RunConfig

    configs = {RunConfig(), *(settings_table.with_value(*case) for case in settings_table.cases())}
    configs |= {settings_table.base(), settings_table.base().with_(split="stream"), RunConfig().with_(split="stream")}
    alike: dict[str, set[str]] = {}
    for config in configs:
        fields = config.to_dict()
        fields["schedule"].pop("steps")
        alike.setdefault(config.identity, set()).add(json.dumps(fields))
    assert all(len(group) == 1 for group in alike.values())
    assert len(alike) == len({config.run_id for config in configs}) > 60


def test_an_identity_taken_against_defaults_would_collide():
    """The default runs before and after a change are told apart by the table alone (the control)."""
    from train.config.run import RunConfig

    then, now = RunConfig().with_(split="stream"), RunConfig()
    assert then != now
    assert then.run_id == "add-p113-s0-44136fa3" and now.run_id == PRESETS["nanda"]
    empty = hashlib.sha256(b"{}").hexdigest()[:8]  # what either has where its own defaults are left out
    assert then.run_id.endswith(empty)
