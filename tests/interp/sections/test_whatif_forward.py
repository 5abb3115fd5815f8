"""The forward pass of the page's scripts, in a browser, against PyTorch's: logits of all pairs, neurons, spectra."""

from typing import Any

import numpy as np
import pytest
import settings_table
import torch
from oracles.handmade import handmade_run
from oracles.runs import SHAPES, random_run
from scripted import computed, harness

pytestmark = pytest.mark.usefixtures("quick_disk")
CASES: dict[str, dict[str, Any]] = {
    **{shape: SHAPES[shape] for shape in SHAPES if shape != "two"},
    **{
        act_fn: {"p": 5, "act_fn": act_fn, "biases": "all"} for act_fn in ("gelu", "gelu_new", "silu", "tanh", "square")
    },
    "smallest": {"p": 2},
    "p = 13, one head": {"p": 13, "n_heads": 1, "biases": "all", "norm": "post"},
    "four heads": {"p": 5, "n_heads": 4, "layout": "a op b =", "outputs": "answers", "positions": "sinusoidal"},
    "two vocabularies": {"p": 5, "shared_vocabulary": False, "layout": "a op b", "norm": "pre", "biases": "all"},
    "pre-norm, b last": {"p": 5, "layout": "a b", "norm": "pre", "attention": "bidirectional"},
    "post-norm, rate": {"p": 5, "norm": "post", "attn_rate": 0.3, "biases": "all", "attention": "bidirectional"},
    "no softmax": {"p": 5, "attn_rate": 0.0, "layout": "eos a op b ="},
    "attention alone, normed": {"p": 5, "attn_only": True, "d_mlp": None, "norm": "pre", "layout": "a b"},
    "attention alone, post": {"p": 5, "attn_only": True, "d_mlp": None, "norm": "post"},
    "scaled": {"p": 5, "output_scale": 3.0, "d_head": 5},
    "mlp, tanh": {"p": 5, "arch": "mlp", "layout": "a b", "act_fn": "tanh", "shared_vocabulary": False},
    "S4": {"op": "compose", "group": "S4", "layout": "a b"},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("harness")) as opened:
        yield opened


def given(run, steps=None):
    """Arrays and options as the widgets get them."""
    from interp.parts.network import network_of

    network = network_of(run, run.steps if steps is None else steps)
    return network, {f"w_{name}": array for name, array in network.arrays.items()}


def assert_close_enough(found, expected, share=1e-2):
    """The largest difference is at most this share of the largest; answers differ only where PyTorch's margin is less.

    The share is 1%, or for the controls as large as the rounding of this model's weights explains.
    """
    difference = np.abs(found - expected).max()
    assert difference <= share * np.abs(expected).max()
    ordered = np.sort(expected, axis=1)
    margin = ordered[:, -1] - ordered[:, -2] if expected.shape[1] > 1 else np.inf
    assert ((found.argmax(axis=1) == expected.argmax(axis=1)) | (margin < difference)).all()


def by_rounding(network, i):
    """The share of the largest logit that rounding explains, by PyTorch's forward with rounded weights."""
    return min(1e-2, 3 * network.difference[i] + 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_logits_of_all_pairs_are_pytorchs(page, tmp_path, name):
    run = random_run(tmp_path, **CASES[name])
    network, arrays = given(run)
    for i, step in enumerate(run.steps):
        expected = run[step].answer_logits()[:, 0].numpy()
        assert_close_enough(computed(page, arrays, network.options, i), expected, by_rounding(network, i))
    other = run[run.steps[0]].answer_logits()[:, 0].numpy()
    with pytest.raises(AssertionError):  # control: another step's
        assert_close_enough(computed(page, arrays, network.options, len(run.steps) - 1), other)


@pytest.mark.parametrize("tensor", ["w_W_E", "w_W_V", "w_reads", "w_W_in", "w_b_in", "w_W_U", "w_ln2_w"])
def test_control_a_corrupted_weight_is_seen(page, tmp_path, tensor):
    run = random_run(tmp_path, p=7, norm="pre", biases="all")
    network, arrays = given(run)
    expected = run.last.answer_logits()[:, 0].numpy()
    assert_close_enough(computed(page, arrays, network.options, 1), expected, by_rounding(network, 1))
    damaged = arrays[tensor].copy()
    damaged[1].flat[np.abs(damaged[1]).argmax()] *= -1
    with pytest.raises(AssertionError):
        assert_close_enough(
            computed(page, arrays | {tensor: damaged}, network.options, 1), expected, by_rounding(network, 1)
        )


def test_the_handmade_model_is_right_in_the_page(page, tmp_path):
    """Where its margins exceed the rounding: with three frequencies, on every pair."""
    from interp import open_run

    p = 23
    run = open_run(handmade_run(tmp_path, p, (3, 5, 9)))
    network, arrays = given(run)
    assert "reads" not in network.arrays  # zero everywhere
    logits = computed(page, arrays, network.options, 4)
    assert_close_enough(logits, run.last.answer_logits()[:, 0].numpy())
    right = np.add.outer(range(p), range(p)).ravel() % p
    assert (logits.argmax(axis=1) == right).all()
    assert (logits.argmax(axis=1) != (right + 1) % p).all()  # control
    assert not computed(page, arrays, network.options, 0).any()  # at scale 0 every logit is 0


@pytest.mark.parametrize("shape", ["add", "sub", "mul", "add-even", "group", "norm", "mlp", "div"])
def test_neurons_and_their_spectra_are_pythons(page, tmp_path, shape):
    from interp.parts.activations import neurons_of
    from interp.parts.clusters import unit_fve
    from interp.story.network import computed_of

    run = random_run(tmp_path, **SHAPES[shape])
    ready = computed_of(run)
    expected, (_, fve) = neurons_of(run.last).numpy(), unit_fve(run.last)
    atol = 1e-2 * np.abs(expected).max()
    for neuron in (0, 11):
        found = computed(page, ready.arrays, ready.options, len(ready.stages) - 1, neuron, "neuron")
        np.testing.assert_allclose(found, expected[:, neuron], rtol=0, atol=atol)
        parts = computed(page, ready.arrays, ready.options, len(ready.stages) - 1, neuron, "shares")
        shares = np.sum(list(parts.values()), axis=0)
        np.testing.assert_allclose(shares, fve[:, neuron], rtol=0, atol=1e-2)
        assert np.abs(shares - fve[:, 5].numpy()).max() > 1e-2  # control: another neuron's


# ---- what is switched off --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add", "pizza", "norm", "post-norm, rate", "mlp", "attention"])
def test_switches_are_the_ablations_of_circuits(page, tmp_path, name):
    """Heads and neurons set to 0, alone and together, by hooks of the model itself."""
    from interp.circuits import ablate_heads, ablate_neurons

    run = random_run(tmp_path, **CASES[name])
    network, arrays = given(run)
    cfg, last = run.last.model.cfg, len(run.steps) - 1
    heads = [] if cfg.n_heads == 0 else [1]
    neurons = list(range(0, cfg.d_mlp, 2))
    off = {"heads": [0, 1] if heads else None, "neurons": [1, 0] * (cfg.d_mlp // 2) if neurons else None}
    hooks = {"heads": ablate_heads(heads) if heads else [], "neurons": ablate_neurons(neurons) if neurons else []}
    whole = run.last.answer_logits()[:, 0].numpy()
    for parts in (["heads"], ["neurons"], ["heads", "neurons"]):
        with run.last.model.hooks(fwd_hooks=[hook for part in parts for hook in hooks[part]]):
            expected = run.last.answer_logits()[:, 0].numpy()
        found = computed(page, arrays, network.options, last, {part: off[part] for part in parts})
        assert_close_enough(found, expected)
        if any(hooks[part] for part in parts):
            with pytest.raises(AssertionError):  # control
                assert_close_enough(found, whole)


@pytest.mark.parametrize("shape", ["add", "sub", "mul", "add-even", "div", "norm", "mlp"])
def test_a_frequency_switched_off_is_the_ablation_of_the_logits(page, tmp_path, shape):
    from interp.circuits import ablate_frequencies, ablate_neurons
    from interp.parts.structure import find_law
    from interp.story.network import computed_of

    run = random_run(tmp_path, **SHAPES[shape])
    ready, law = computed_of(run), find_law(run.task)
    last = len(ready.stages) - 1
    neurons = [1, 0] * (run.last.model.cfg.d_mlp // 2)
    for ks, more in (([1], {}), ([1, 2], {}), ([2], {"neurons": neurons})):
        hooks = ablate_neurons(range(0, len(neurons), 2)) if more else []
        with run.last.model.hooks(fwd_hooks=[*hooks, *ablate_frequencies(law, ks)]):
            expected = run.last.answer_logits()[:, 0].numpy()
        off = {"units": [k - 1 for k in ks], **more}
        share = by_rounding(ready.network, last)
        assert_close_enough(computed(page, ready.arrays, ready.options, last, off), expected, share)
        with pytest.raises(AssertionError):  # control: another frequency
            off["units"] = [2]
            assert_close_enough(computed(page, ready.arrays, ready.options, last, off), expected, share)


def test_an_irrep_switched_off_is_the_logits_without_its_part(page, tmp_path):
    from interp.measures.restricted import logit_parts
    from interp.parts.irreps import irreps_of, line_of
    from interp.story.network import computed_of

    run = random_run(tmp_path, op="compose", group="S4", outputs="answers")
    ready, names = computed_of(run), list(irreps_of(run).bases)
    whole = run.last.answer_logits()[:, 0]
    for i in (2, 3):
        expected = (whole - logit_parts(run.last, (names[i],))[line_of(run)]).numpy()
        found = computed(page, ready.arrays, ready.options, len(ready.stages) - 1, {"units": [i]})
        share = by_rounding(ready.network, len(ready.stages) - 1)
        assert_close_enough(found, expected, share)
        with pytest.raises(AssertionError):  # control
            assert_close_enough(found, whole.numpy(), share)


# ---- what is served --------------------------------------------------------------------------------


def settings():
    return [name for name in settings_table.names() if name.partition(".")[0] in ("model", "task")]


@pytest.mark.parametrize("name", settings())
def test_every_setting_is_computed_right_or_refused(page, tmp_path, name):
    """Over all fields of the config: one that is added to it without the script is refused or found wrong here."""
    from oracles.runs import saved

    from interp.parts.memo import NotApplicable
    from train.model import build_model

    for i, value in enumerate(settings_table.values_of(name)):
        config = settings_table.with_value(name, value)
        generator = torch.Generator().manual_seed(0)
        weights = build_model(config).state_dict()
        weights = {key: t + 0.2 * torch.randn(t.shape, generator=generator) for key, t in weights.items()}
        run = saved(tmp_path / str(i), config, {0: weights})
        try:
            network, arrays = given(run)
        except NotApplicable as reason:
            assert name == "model.n_layers" and "one layer" in str(reason)
            continue
        expected = run.last.answer_logits()[:, 0].numpy()
        assert_close_enough(computed(page, arrays, network.options, 0), expected)


@pytest.mark.parametrize("name", ["model.norm", "model.act_fn", "task.layout", "model.attn_rate", "model.attn_only"])
def test_a_setting_that_the_script_does_not_know_is_refused_by_name(tmp_path, monkeypatch, name):
    from oracles.runs import saved

    from interp.parts import network
    from interp.parts.memo import NotApplicable
    from train.model import build_model

    config = settings_table.with_value(name, settings_table.values_of(name)[-1])
    run = saved(tmp_path, config, {0: build_model(config).state_dict()})
    network.network_of(run, [0])  # control
    monkeypatch.setattr(network, "KNOWS", {key: v for key, v in network.KNOWS.items() if key != name})
    with pytest.raises(NotApplicable, match=f"the page's own forward pass is not defined for {name} = "):
        network.network_of(run, [0])


# ---- rounding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e6, 1e18])
def test_tensors_of_any_size_keep_eleven_bits(scale):
    from interp.parts.network import rounded

    tensor = scale * torch.randn(500, generator=torch.Generator().manual_seed(0)).double()
    half = rounded(tensor)
    large = tensor.abs() > 1e-6 * tensor.abs().max()
    assert large.sum() > 490 and bool(torch.isfinite(half).all())
    assert float(((half - tensor) / tensor)[large].abs().max()) <= 2**-11
    assert float((half - tensor).abs().max()) > 0  # control: it does round
    assert torch.equal(rounded(torch.zeros(3)), torch.zeros(3))


def test_a_model_that_rounding_would_change_travels_in_float32(page, tmp_path):
    """Two embeddings that cancel to a thousandth: what is left of them is below float16's digits."""
    from oracles.runs import saved

    from train.model import build_model

    config = settings_table.base()
    weights = build_model(config).state_dict()
    weights["pos_embed.W_pos"] = weights["pos_embed.W_pos"] * 0
    weights["pos_embed.W_pos"][2] = 300.0
    weights["embed.W_E"][11] = -300.0 + weights["embed.W_E"][11]
    run = saved(tmp_path, config, {0: weights})
    network, arrays = given(run)
    assert network.precision == "float32" and network.difference == (0.0,)
    assert_close_enough(computed(page, arrays, network.options, 0), run.last.answer_logits()[:, 0].numpy())


@pytest.mark.slow
def test_the_default_run(page, tmp_path, train_run):
    """All pairs at the three stages of the default run: trained here, or the run at DEFAULT_RUN."""
    import os

    from interp import open_run
    from interp.story.network import computed_of
    from train.config.run import RunConfig

    run = open_run(os.environ.get("DEFAULT_RUN") or train_run(tmp_path, RunConfig()).path)
    ready = computed_of(run)
    assert [stage.name for stage in ready.stages] == ["memorised", "on the way", "understood"]
    for i, stage in enumerate(ready.stages):
        found = computed(page, ready.arrays, ready.options, i)
        assert_close_enough(found, run[stage.step].answer_logits()[:, 0].numpy())
    assert computed(page, ready.arrays, ready.options, 2, wants="one") < 10
