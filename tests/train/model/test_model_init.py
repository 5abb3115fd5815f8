"""Initial weights: published values, and the statistics of their distributions."""

import math
from typing import Any

import pytest
import torch

from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.model import build_model


def weights(seed=0, p=113, layout: Any = "a b =", **choices: Any):
    model = build_model(RunConfig(task=TaskConfig(p=p, layout=layout), model=ModelConfig(**choices), seed=seed))
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def demo_losses(init: Any, seed: int):
    """Initial train and test loss of TransformerLens's grokking demo (its split: torch seed 598)."""
    p = 113
    task = TaskConfig(op="add", p=p, layout="a b =")
    choices = ModelConfig(biases="none", outputs="answers", init=init)
    model = build_model(RunConfig(task=task, model=choices, seed=seed))
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    order = torch.randperm(p * p, generator=torch.Generator().manual_seed(598))
    with torch.no_grad():
        logits = model(torch.stack([a, b, torch.full_like(a, p)], dim=1))[:, -1].double()
    nll = logits.logsumexp(dim=-1) - logits[torch.arange(p * p), (a + b) % p]
    n_train = int(0.3 * p * p)
    return nll[order[:n_train]].mean().item(), nll[order[n_train:]].mean().item()


def test_transformer_lens_demo_starts_where_it_should():
    """Initial losses of the demo equal those of TransformerLens 3.9's own HookedTransformer."""
    assert demo_losses("transformerlens", 999) == pytest.approx((4.73588576, 4.73298087), abs=1e-6)


@pytest.mark.parametrize("init, seed", [("transformerlens", 998), ("nanda", 999)])
def test_other_starts_are_elsewhere(init, seed):
    assert demo_losses(init, seed) != pytest.approx((4.73588576, 4.73298087), abs=1e-3)


def check_normal(x, std):
    """Assert mean and standard deviation within five standard errors, and values that no uniform reaches."""
    n = x.numel()
    assert abs(x.double().mean()) < 5 * std / math.sqrt(n)
    assert abs(x.double().std() / std - 1) < 5 / math.sqrt(2 * n)
    assert x.abs().max() > 1.8 * std


def check_uniform(x, bound):
    n = x.numel()
    assert x.abs().max() <= bound and x.abs().max() > bound * (1 - 20 / n)
    assert abs(x.double().mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs(x.double().std() * math.sqrt(3) / bound - 1) < 5 / math.sqrt(n)


D_MODEL, D_MLP, D_VOCAB = 128, 512, 114
SIZES = dict.fromkeys(["W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"], D_MODEL)


@pytest.mark.parametrize(
    "init, stds",
    [
        ("nanda", {name: n**-0.5 for name, n in SIZES.items()} | {"W_U": D_VOCAB**-0.5}),
        ("zhong", {name: n**-0.5 for name, n in SIZES.items()} | {"W_U": D_VOCAB**-0.5, "W_in": D_MLP**-0.5}),
        ("transformerlens", dict.fromkeys([*SIZES, "W_U"], 0.8 * D_MODEL ** (-0.5))),
    ],
)
@pytest.mark.parametrize("outputs", ["answers", "tokens"])
def test_normal_schemes(init, stds, outputs):
    for name, weight in weights(init=init, outputs=outputs).items():
        last = name.rpartition(".")[2]
        if last in stds:
            check_normal(weight, stds[last])
        else:
            assert last.startswith("b_") and not weight.any()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_pytorch_scheme(norm):
    fan_in = dict.fromkeys(["W_Q", "W_K", "W_V", "W_in", "W_U"], 64) | {"W_O": 4 * 8, "W_out": 100}
    for name, weight in weights(
        init="pytorch", norm=norm, n_layers=2, d_model=64, d_head=8, d_mlp=100, biases="all"
    ).items():
        last = name.rpartition(".")[2]
        if last in ("W_E", "W_pos"):
            check_normal(weight, 1.0)
        elif last in fan_in:
            check_uniform(weight, fan_in[last] ** -0.5)
        elif last == "w":
            assert (weight == 1).all()
        else:
            assert not weight.any()


def test_mlp_schemes():
    choices = {"arch": "mlp", "n_layers": 2, "d_model": 64, "d_mlp": 200, "layout": "a b"}
    sizes = {"embed.W_E": 64, "blocks.0.mlp.W_in": 128, "blocks.1.mlp.W_in": 200, "unembed.W_U": 200}
    for init in ("nanda", "zhong", "transformerlens", "pytorch"):
        made = weights(init=init, **choices)
        for name, n in sizes.items():
            if init == "transformerlens":
                check_normal(made[name], 0.1)
            elif init != "pytorch":
                check_normal(made[name], n**-0.5)
            elif name == "embed.W_E":
                check_normal(made[name], 1.0)
            else:
                check_uniform(made[name], n**-0.5)


@pytest.mark.parametrize("init", ["nanda", "zhong", "transformerlens", "pytorch"])
def test_the_seed_alone_decides(init):
    first = weights(seed=5, init=init, p=7)
    torch.rand(10)
    again, other = weights(seed=5, init=init, p=7), weights(seed=6, init=init, p=7)
    for name in first:
        assert torch.equal(first[name], again[name])
        assert torch.equal(first[name], other[name]) == (name.rpartition(".")[2][0] == "b")


def test_nanda_draws_from_its_own_stream_not_the_seed_itself():
    first = torch.randn(8, 128, generator=torch.Generator().manual_seed(0)) / math.sqrt(128)
    assert not torch.equal(weights(seed=0, p=7)["embed.W_E"], first)
    assert torch.equal(
        weights(seed=0, p=7, init="transformerlens")["embed.W_E"],
        torch.empty(8, 128).normal_(0, 0.8 / math.sqrt(128), generator=torch.Generator().manual_seed(0)),
    )


def test_sinusoids_are_not_drawn():
    fixed = weights(init="nanda", positions="sinusoidal")
    assert torch.equal(fixed["pos_embed.W_pos"][0], torch.tensor([0.0, 1.0]).repeat(64))
