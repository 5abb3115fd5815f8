"""The models' logits, losses and gradients against plain loops, and their lists of parameters."""

import math

import numpy as np
import pytest
import torch

from tests.oracles.model import EPS, activate, assert_close, oracle_batch, rows, small
from train.model import HookedMLP, HookedTransformer

# ---- forward ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("rate", [1.0, 0.3, 0.0])
def test_logits_equal_plain_loops(norm, attention, rate):
    model = small(norm=norm, attention=attention, attn_rate=rate)
    choices = {"norm": norm, "causal": attention == "causal", "rate": rate}
    with torch.no_grad():
        logits = model(rows())
    assert_close(logits, oracle_batch(model, rows(), **choices))
    wrong = [
        {"causal": attention != "causal"},
        {"rate": 0.9},
        *([{"norm": "none"}] if norm != "none" else []),
    ]
    for change in wrong:  # the controls
        assert (logits[7:12] - oracle_batch(model, rows()[7:12], **choices | change)).abs().max() > 1e-3


@pytest.mark.parametrize(
    "choices",
    [
        {"act_fn": "gelu"},
        {"act_fn": "gelu_new"},
        {"attn_only": True, "d_mlp": None},
        {"attn_only": True, "d_mlp": None, "norm": "pre", "n_layers": 1},
        {"attn_only": True, "d_mlp": None, "norm": "post"},
        {"n_layers": 1},
        {"n_layers": 3},
        {"positions": "sinusoidal"},
        {"d_head": 3},
        {"n_heads": 1},
        {"d_model": 7, "n_heads": 7, "positions": "sinusoidal"},
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", ["a b", "a b =", "a op b ="])
def test_logits_of_other_shapes_equal_plain_loops(choices, layout):
    model = small(layout, **choices)
    tokens = rows(n_ctx=len(layout.split()))
    known = {name: value for name, value in choices.items() if name in ("act_fn", "n_layers", "attn_only", "norm")}
    with torch.no_grad():
        assert_close(model(tokens), oracle_batch(model, tokens, **known))


def test_smallest_table():
    model = small(p=2, outputs="answers")
    tokens = rows(p=2)
    with torch.no_grad():
        assert_close(model(tokens), oracle_batch(model, tokens))
    assert model(tokens).shape == (4, 3, 2)


def test_sinusoids_are_vaswanis_and_not_trained():
    model = small(positions="sinusoidal")
    want = [
        [math.sin(t / 10_000 ** (c / 8)) if c % 2 == 0 else math.cos(t / 10_000 ** ((c - 1) / 8)) for c in range(8)]
        for t in range(3)
    ]
    assert (model.W_pos - torch.tensor(want)).abs().max() < torch.finfo(torch.float32).eps
    assert not model.W_pos.requires_grad
    assert small().W_pos.requires_grad


def test_post_norm_hooks_hold_what_comes_out_of_the_norm():
    model = small(norm="post")
    _, cache = model.run_with_cache(rows())
    mid = cache["resid_mid", 0]
    total = cache["resid_pre", 0] + cache["attn_out", 0]
    want = torch.nn.functional.layer_norm(total, (8,), model.blocks[0].ln1.w, model.blocks[0].ln1.b, 1e-5)
    assert_close(mid, want)
    assert (mid - total).abs().max() > 1e-3
    assert torch.equal(cache["resid_pre", 1], cache["resid_post", 0])
    assert cache["blocks.0.ln2.hook_scale"].shape == (25, 3, 1)
    assert cache["blocks.0.ln2.hook_normalized"].shape == (25, 3, 8)


def test_a_part_of_the_layers():
    model, tokens = small(n_layers=3), rows()
    with torch.no_grad():
        whole = model(tokens)
        for cut in range(1, 3):
            resid = model(tokens, stop_at_layer=cut)
            assert torch.equal(resid, model.run_with_cache(tokens)[1]["resid_pre", cut])
            assert torch.equal(model(resid, start_at_layer=cut), whole)
        assert torch.equal(model(model(tokens, stop_at_layer=-1), start_at_layer=-1), whole)
        embedded = model(tokens, stop_at_layer=0)
    assert torch.equal(embedded, model.W_E[tokens] + model.W_pos)


def test_return_types():
    model, tokens = small(), rows()
    logits = model(tokens)
    loss = sum(
        -math.log(torch.softmax(logits[i, t], 0)[tokens[i, t + 1]].item()) for i in range(len(tokens)) for t in range(2)
    ) / (2 * len(tokens))
    assert model(tokens, return_type="loss").item() == pytest.approx(loss, rel=1e-12)
    both = model(tokens, return_type="both")
    assert torch.equal(both[0], logits) and both[1].item() == pytest.approx(loss, rel=1e-12)
    assert model(tokens, return_type=None) is None
    resid = model(tokens, stop_at_layer=1)
    assert model(resid, "loss", start_at_layer=1, tokens=tokens).item() == pytest.approx(loss, rel=1e-12)
    with pytest.raises(ValueError, match="needs tokens"):
        model(resid, "loss", start_at_layer=1)
    with pytest.raises(ValueError, match="needs a logit for token 5"):
        small(outputs="answers")(tokens, "loss")


# ---- parameters -------------------------------------------------------------------------------------

BLOCK = ["attn.W_Q", "attn.W_O", "attn.b_Q", "attn.b_O", "attn.W_K", "attn.W_V", "attn.b_K", "attn.b_V"]
BLOCK += ["mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out"]
NORMS = ["ln1.w", "ln1.b", "ln2.w", "ln2.b"]


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
def test_parameters_in_transformer_lens_order_and_nothing_else_in_the_state(norm):
    block = (NORMS if norm != "none" else []) + BLOCK
    names = ["embed.W_E", "pos_embed.W_pos", *(f"blocks.{i}.{name}" for i in range(2) for name in block)]
    names += (["ln_final.w", "ln_final.b"] if norm == "pre" else []) + ["unembed.W_U", "unembed.b_U"]
    model = small(norm=norm)
    assert [name for name, _ in model.named_parameters()] == names
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("arch", ["transformer", "mlp"])
@pytest.mark.parametrize(
    "biases, trained",
    [("none", set()), ("mlp", {"b_in", "b_out"}), ("all", set("b_Q b_K b_V b_O b_in b_out b_U".split()))],
)
def test_which_biases_are_trained(arch, biases, trained):
    model = small("a b", biases=biases, norm="pre" if arch == "transformer" else "none", arch=arch)
    tokens = rows(n_ctx=2)
    model(tokens).square().sum().backward()
    for name, parameter in model.named_parameters():
        last = name.rpartition(".")[2]
        is_trained = not last.startswith("b_") or last in trained
        assert parameter.requires_grad == is_trained, name
        assert (parameter.grad is not None) == is_trained, name
        assert is_trained or not parameter.any(), f"{name} is not zero"
        if is_trained and last != "b_K":  # shifts every score of a query alike, so softmax ignores it
            assert parameter.grad.abs().max() > 1e-6, name


def test_gradients_equal_finite_differences():
    model, tokens = small(norm="pre", act_fn="gelu", attn_rate=0.5, n_layers=1), rows()
    loss = model(tokens).square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        index = tuple(s // 2 for s in parameter.shape)
        step = 1e-5
        with torch.no_grad():
            parameter[index] += step
            high = model(tokens).square().mean()
            parameter[index] -= 2 * step
            low = model(tokens).square().mean()
            parameter[index] += step
        assert parameter.grad[index].item() == pytest.approx(((high - low) / (2 * step)).item(), abs=1e-7), name


# ---- MLP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("act_fn", ["relu", "gelu"])
def test_mlp_equals_plain_loops(n_layers, act_fn):
    model = small("a b", arch="mlp", n_layers=n_layers, act_fn=act_fn)
    tokens = rows(n_ctx=2)
    logits, cache = model.run_with_cache(tokens)
    assert isinstance(model, HookedMLP) and logits.shape == (25, 2, 5)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    for i, (a, b) in enumerate(tokens.tolist()):
        x = np.concatenate([weights["embed.W_E"][a], weights["embed.W_E"][b]])
        for layer in range(n_layers):
            x = activate(x @ weights[f"blocks.{layer}.mlp.W_in"] + weights[f"blocks.{layer}.mlp.b_in"], act_fn)
        want = torch.tensor(x @ weights["unembed.W_U"] + weights["unembed.b_U"])
        assert (logits[i, 0] - want).abs().max() < 200 * EPS * want.abs().max()
        assert torch.equal(logits[i, 0], logits[i, 1])
    assert cache["embed"].shape == (25, 2, 8)
    assert cache["pre", 0].shape == cache["post", n_layers - 1].shape == (25, 1, 12)


def test_mlp_surface():
    model = small("a b", arch="mlp")
    names = ["embed.W_E", "blocks.0.mlp.W_in", "blocks.0.mlp.b_in", "blocks.1.mlp.W_in", "blocks.1.mlp.b_in"]
    assert list(model.state_dict()) == [*names, "unembed.W_U", "unembed.b_U"]
    assert [W.shape for W in model.W_in] == [(16, 12), (12, 12)] and model.b_in.shape == (2, 12)
    assert model.W_E.shape == (5, 8) and model.W_U.shape == (12, 5) and model.b_U.shape == (5,)
    assert model.to_string(model.to_tokens("3 + 4")) == ["3 4"]
    with model.hooks(fwd_hooks=[("blocks.1.mlp.hook_post", lambda x, hook: x * 0)]):
        assert torch.equal(model(rows(n_ctx=2))[0, 0], model.b_U)


def test_transformer_is_what_is_built():
    assert isinstance(small(), HookedTransformer)
