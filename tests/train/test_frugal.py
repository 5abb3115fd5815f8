"""The frugal forward equals the plain model in logits and in every gradient, for every option."""

import itertools

import pytest
import torch


def make(task=None, model=None):
    from train.config import ModelConfig, RunConfig, TaskConfig
    from train.model import build_model
    from train.tasks import make_task

    config = RunConfig(
        task=TaskConfig(**{"p": 7, "train_frac": 0.6, **(task or {})}),
        model=ModelConfig(**{"d_model": 16, "n_heads": 2, "d_mlp": 24, **(model or {})}),
        seed=3,
    )
    built = build_model(config).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # biases start at zero: move them, so that a forgotten one would show
        for parameter in built.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return built, make_task(config)


def both(built, task, rows):
    """Logits and gradients of the same loss by the plain model and by the frugal forward."""
    from train.engine import batch_forward, cross_entropy

    forwards = (
        lambda r: built(task.tokens[r])[:, list(task.answer_positions)],
        batch_forward(built, task, torch.device("cpu")),
    )
    found = []
    for forward in forwards:
        built.zero_grad()
        logits = forward(rows)
        cross_entropy(logits, task.labels[rows]).mean().backward()
        found.append((logits.detach(), {n: p.grad.clone() for n, p in built.named_parameters() if p.requires_grad}))
    return found


def assert_equal(found):
    (plain, plain_grads), (frugal, frugal_grads) = found
    tolerance = 1e3 * torch.finfo(torch.float64).eps  # relative to the largest logit, the largest gradient
    torch.testing.assert_close(frugal, plain, rtol=0, atol=tolerance * float(plain.abs().max()))
    assert set(plain_grads) == set(frugal_grads)
    atol = tolerance * max(float(grad.abs().max()) for grad in plain_grads.values())
    for name, grad in plain_grads.items():
        torch.testing.assert_close(frugal_grads[name], grad, rtol=0, atol=atol, msg=name)


OPTIONS = [
    {"n_layers": n, "norm": norm, "attention": attention}
    for n, norm, attention in itertools.product((1, 2, 3), ("none", "pre", "post"), ("causal", "bidirectional"))
] + [
    {"positions": "sinusoidal", "n_layers": 2},
    {"attn_rate": 0.3},
    {"attn_rate": 0.0, "attention": "bidirectional"},
    {"attn_rate": 0.5, "n_layers": 2},
    {"biases": "none"},
    {"biases": "all", "n_layers": 2, "norm": "pre"},
    {"act_fn": "gelu"},
    {"outputs": "answers"},
    {"d_head": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_to_plain(options):
    built, task = make(model=options)
    assert_equal(both(built, task, task.rows("train")))


@pytest.mark.parametrize("layout", ["a b", "a b =", "a op b ="])
@pytest.mark.parametrize("op", ["div", "sub"])
def test_equal_for_every_layout(layout, op):
    built, task = make(task={"op": op, "layout": layout}, model={"n_layers": 2})
    assert_equal(both(built, task, task.rows("all")))


def test_several_answer_positions():
    import dataclasses

    built, task = make(model={"n_layers": 2})
    two = dataclasses.replace(task, labels=task.labels.repeat(1, 2), answer_positions=(1, 2))
    assert_equal(both(built, two, two.rows("train")))
    one, also_one = make(model={"n_layers": 1})
    two = dataclasses.replace(also_one, labels=also_one.labels.repeat(1, 2), answer_positions=(0, 2))
    assert_equal(both(one, two, two.rows("train")))


def test_control_a_changed_weight_is_seen():
    """The comparison fails when the two forwards use different weights."""
    from train.engine import batch_forward

    built, task = make()
    forward = batch_forward(built, task, torch.device("cpu"))
    plain = built(task.tokens)[:, -1:]
    with torch.no_grad():
        built.get_parameter("blocks.0.attn.W_V")[0, 0, 0] += 1e-3
    assert not torch.allclose(forward(task.rows("all")), plain)
