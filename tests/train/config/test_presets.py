"""The published set-ups: each preset is complete and states its source."""

import pytest
import torch

NAMES = ["nanda", "tl-demo", "power", "power-fig1", "zhong", "s5", "fast", "quick"]


def preset(name):
    from train.config.presets import find_preset

    return find_preset(name)


def flat(name):
    """Every setting of a preset by its flat name."""
    data = preset(name).config.to_dict()
    sections = [value for value in data.values() if isinstance(value, dict)]
    return {"seed": data["seed"], **{key: value for section in sections for key, value in section.items()}}


def test_the_presets_of_the_readme():
    from train.config.presets import PRESETS

    assert list(PRESETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_whole(name):
    from train.config.run import RunConfig

    found = preset(name)
    assert found.doc and found.source and "\n" not in found.doc + found.source
    assert found.config.run_id.startswith(f"{found.config.task.label}-s{found.config.seed}-")
    assert RunConfig.from_dict(found.config.to_dict()) == found.config


def test_no_two_are_one_run():
    ids = [preset(name).config.run_id for name in NAMES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("quick", "fast")])
def test_published_ones_cite_a_paper_or_a_notebook(name):
    source = preset(name).source
    assert any(mark in source for mark in ("2201.02177", "2301.05217", "2306.17844", "2302.03025", "ipynb"))


@pytest.mark.parametrize(
    ("name", "n_rows", "n_train", "n_ctx", "d_vocab", "d_vocab_out"),
    [
        ("nanda", 12_769, 3_830, 3, 114, 114),
        ("tl-demo", 12_769, 3_830, 3, 114, 113),
        ("power", 9_312, 4_656, 4, 99, 99),
        ("power-fig1", 9_312, 4_656, 4, 99, 99),
        ("zhong", 3_481, 2_784, 2, 59, 59),
        ("s5", 14_400, 8_640, 3, 121, 120),
        ("quick", 2_809, 1_404, 3, 54, 54),
    ],
)
def test_sizes_of_the_task(name, n_rows, n_train, n_ctx, d_vocab, d_vocab_out):
    from train.tasks.task import make_task

    config = preset(name).config
    task = make_task(config)
    assert (len(task.rows("all")), len(task.rows("train"))) == (n_rows, n_train)
    assert len(task.rows("test")) == n_rows - n_train
    assert task.tokens.shape[1] == config.task.n_ctx == n_ctx
    assert (len(task.vocabulary), config.d_vocab_out) == (d_vocab, d_vocab_out)


SHARED = {"n_heads": 4, "d_model": 128, "act_fn": "relu", "lr": 1e-3, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8}
NO_NORM = {"arch": "transformer", "n_layers": 1, "norm": "none", "positions": "learned", "optimizer": "adamw"}
POWER = {
    "op": "div",
    "p": 97,
    "train_frac": 0.5,
    "layout": "a op b =",
    "n_layers": 2,
    "norm": "post",
    "positions": "sinusoidal",
    "attention": "causal",
    "biases": "none",
    "init": "pytorch",
    "warmup_steps": 10,
    "batch_size": 512,  # min(512, 4656 / 2)
}
PUBLISHED = {
    # papers.md 3.1 and peers.md 1.2
    "nanda": {
        **NO_NORM,
        "op": "add",
        "p": 113,
        "train_frac": 0.3,
        "split": "python",
        "split_seed": None,
        "seed": 0,
        "attention": "causal",
        "attn_rate": 1.0,
        "biases": "mlp",
        "outputs": "tokens",
        "init": "nanda",
        "weight_decay": 1.0,
        "warmup_steps": 10,
        "batch_size": None,
        "steps": 15_000,
    },
    "tl-demo": {
        **NO_NORM,
        "op": "add",
        "p": 113,
        "train_frac": 0.3,
        "split": "torch",
        "split_seed": 598,
        "seed": 999,
        "attention": "causal",
        "biases": "none",
        "outputs": "answers",
        "init": "transformerlens",
        "weight_decay": 1.0,
        "warmup_steps": 0,
        "batch_size": None,
        "steps": 25_000,
    },
    # papers.md 1.1 and 1.2
    "power": {**POWER, "optimizer": "adamw", "weight_decay": 1.0, "steps": 100_000},
    "power-fig1": {**POWER, "optimizer": "adam", "weight_decay": 0.0, "steps": 1_000_000},
    # papers.md 3.4 and peers.md 1.3
    "zhong": {
        **NO_NORM,
        "op": "add",
        "p": 59,
        "train_frac": 0.8,
        "layout": "a b",
        "attention": "bidirectional",
        "biases": "mlp",
        "init": "zhong",
        "weight_decay": 2.0,
        "warmup_steps": 10,
        "batch_size": None,
        "steps": 20_000,
    },
    # peers.md 1.4
    "s5": {
        **NO_NORM,
        "op": "compose",
        "group": "S5",
        "train_frac": 0.6,
        "split": "torch",
        "biases": "none",
        "outputs": "answers",
        "init": "transformerlens",
        "weight_decay": 1.0,
        "warmup_steps": 0,
        "batch_size": None,
        "steps": 50_000,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    ours, theirs = flat(name), SHARED | PUBLISHED[name]
    assert {key: ours[key] for key in theirs} == theirs


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("quick", "fast")])
def test_published_widths(name):
    model = preset(name).config.model
    assert (model.head_width, model.mlp_width) == (32, 512)


def test_power_fig1_is_power_without_weight_decay():
    power, fig1 = flat("power"), flat("power-fig1")
    assert {key for key in power if power[key] != fig1[key]} == {"optimizer", "weight_decay", "steps"}


def test_quick_has_the_default_s_architecture():
    quick, nanda = preset("quick").config, preset("nanda").config
    assert quick.model == nanda.model and quick.optim == nanda.optim
    assert quick.task.p is not None and quick.task.p < 113
    assert quick.schedule.steps < nanda.schedule.steps


def test_the_default_run_is_nanda():
    from train.config.run import RunConfig

    assert preset("nanda").config == RunConfig()
    assert preset("nanda").config.identity == '{"task":{"split":"python"}}'


def test_a_preset_s_split_depends_on_its_seed_alone():
    from train.config.settings import override
    from train.tasks.task import make_task

    base = preset("quick").config
    train = make_task(base).rows("train")
    assert torch.equal(make_task(override(base, {"d_model": 64, "steps": 7})).rows("train"), train)
    assert not torch.equal(make_task(override(base, {"seed": 1})).rows("train"), train)


@pytest.mark.parametrize(
    ("came", "nearest"), [("nada", "nanda"), ("tldemo", "tl-demo"), ("S5", "s5"), ("powr", "power")]
)
def test_an_unknown_preset_names_the_nearest(came, nearest):
    with pytest.raises(ValueError, match=f"unknown preset '{came}'") as error:
        preset(came)
    assert f"did you mean '{nearest}'?" in str(error.value)
    assert all(name in str(error.value) for name in NAMES)
