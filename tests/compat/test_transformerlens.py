"""Our model under TransformerLens's own names, caches and weights; unchanged for versions 3.9 and 4.

Run with another version by putting it first on PYTHONPATH. Sums are checked against the residual stream and
the logits.
"""

import itertools

import pytest
import torch
from transformer_lens import ActivationCache, FactoredMatrix, SVDInterpreter

from interp.transformerlens import to_transformer_lens
from tests.compat.models import D_HEAD, D_MLP, HEADS, IS_4, LAYERS, WIDTH, P, assert_close, make, only_3, rows
from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.model import build_model

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")


@pytest.fixture(params=["none", "pre"])
def run(request):
    """A model, its logits and its cache."""
    model = make(norm=request.param)
    logits, cache = model.run_with_cache(rows())
    return model, logits.detach(), cache


# ---- hooks ------------------------------------------------------------------------------------------


def hook_shapes(norm) -> dict[str, tuple[int, ...]]:
    """Every hook of TransformerLens 3.9's HookedTransformer with all flags on (use_attn_in apart)."""
    n, pos, resid = 5, 3, (5, 3, WIDTH)
    per_head, split = (n, pos, HEADS, D_HEAD), (n, pos, HEADS, WIDTH)
    block = dict.fromkeys("hook_resid_pre hook_resid_mid hook_resid_post hook_attn_out".split(), resid)
    block |= {"hook_mlp_out": resid, "hook_mlp_in": resid}
    block |= {f"attn.hook_{c}": per_head for c in "qkvz"} | {f"hook_{c}_input": split for c in "qkv"}
    block |= {f"attn.hook_{name}": (n, HEADS, pos, pos) for name in ("attn_scores", "pattern")}
    block |= {"attn.hook_result": split, "mlp.hook_pre": (n, pos, D_MLP), "mlp.hook_post": (n, pos, D_MLP)}
    table = {"hook_embed": resid, "hook_pos_embed": resid}
    if norm == "pre":
        # The norm before attention sees one input per head; the last of q, k, v stays in the cache.
        block |= {"ln1.hook_scale": (n, pos, HEADS, 1), "ln1.hook_normalized": split}
        block |= {"ln2.hook_scale": (n, pos, 1), "ln2.hook_normalized": resid}
        table |= {"ln_final.hook_scale": (n, pos, 1), "ln_final.hook_normalized": resid}
    table |= {f"blocks.{i}.{name}": shape for i in range(LAYERS) for name, shape in block.items()}
    return table | {"unembed.hook_in": resid, "unembed.hook_out": (n, pos, P)}


def cached_shapes(model):
    model.set_use_attn_result(True)
    model.set_use_split_qkv_input(True)
    model.set_use_hook_mlp_in(True)
    _, cache = model.run_with_cache(rows())
    return {name: tuple(tensor.shape) for name, tensor in cache.items()}


FOUR = {f"blocks.{i}.attn.hook_{c}_input" for i in range(LAYERS) for c in "qkv"}
"""Names of the split inputs' hooks in version 4."""


@pytest.mark.parametrize("norm", ["none", "pre"])
def test_hook_names_and_shapes(norm):
    model, table = make(norm=norm), hook_shapes(norm)
    extra = dict.fromkeys(FOUR, (5, 3, HEADS, WIDTH))
    assert cached_shapes(model) == table | extra
    attn_in = {f"blocks.{i}.hook_attn_in" for i in range(LAYERS)}
    assert set(model.hook_dict) == set(table) | FOUR | attn_in


@only_3
@pytest.mark.parametrize("norm", ["none", "pre"])
def test_hook_names_and_shapes_are_those_of_3_9(norm):
    legacy = to_transformer_lens(make(norm=norm))
    assert cached_shapes(legacy) == hook_shapes(norm)
    assert set(make(norm=norm).hook_dict) - FOUR == set(legacy.hook_dict)


@only_3
@pytest.mark.parametrize("norm", ["none", "pre"])
def test_blocks_of_attention_alone_are_those_of_3_9(norm):
    model = make(norm=norm, attn_only=True, d_mlp=None, dtype=torch.float32)
    legacy = to_transformer_lens(model)
    assert set(model.hook_dict) - FOUR == set(legacy.hook_dict)
    assert set(model.state_dict()) <= set(legacy.state_dict())
    (_, ours), (_, theirs) = model.run_with_cache(rows()), legacy.run_with_cache(rows())
    assert list(ours.keys()) == list(theirs.keys())
    assert not any("resid_mid" in name or "mlp" in name for name in ours.keys())
    for name in ours.keys():
        finite = ours[name].isfinite()
        assert_close(theirs[name][finite], ours[name][finite])
    parts, labels = ours.decompose_resid(return_labels=True)
    assert labels == ["embed", "pos_embed", "0_attn_out", "1_attn_out"]
    assert_close(parts.sum(0), ours["resid_post", 1])
    assert torch.allclose(model.accumulated_bias(2), model.b_O.sum(0))
    assert model.cfg.d_mlp == 0 and model.cfg.attn_only


def test_hooks_of_an_mlp_that_is_not_there_are_refused():
    model = make(attn_only=True, d_mlp=None)
    with pytest.raises(ValueError, match="never fires: an attention-only model has no MLP"):
        model.add_hook("blocks.0.hook_mlp_out", lambda x, hook: x)
    with (
        pytest.raises(ValueError, match="no hook 'blocks.0.hook_resid_mid'"),
        model.hooks([("blocks.0.hook_resid_mid", lambda x, hook: x)]),
    ):
        pass
    with pytest.raises(ValueError, match="no MLP whose input"):
        model.set_use_hook_mlp_in(True)


@pytest.mark.parametrize("norm", ["none", "pre"])
def test_every_cached_value_is_that_of_transformer_lens(norm):
    model = make(norm=norm, dtype=torch.float32, with_norm_weights=True)
    other = to_transformer_lens(model)
    _, ours = model.run_with_cache(rows())
    _, theirs = other.run_with_cache(rows())
    compared = 0
    for name, value in ours.items():
        # Version 4 keeps a norm's steps in other places, and the pattern under attn_scores too.
        if name in theirs and "ln" not in name and not (IS_4 and name.endswith("attn_scores")):
            finite = value.isfinite()
            assert_close(theirs[name][finite], value[finite])
            compared += 1
    assert compared >= 2 + 12 * LAYERS
    wrong = ours["resid_mid", 0] - ours["resid_post", 0]
    assert wrong.abs().max() > 1e-2


# ---- ActivationCache --------------------------------------------------------------------------------


def normed(model, cache, resid):
    """The input of the unembedding, computed by hand (norm at scale 1 and shift 0)."""
    if model.cfg.normalization_type is None:
        return resid
    return (resid - resid.mean(dim=-1, keepdim=True)) / cache["ln_final.hook_scale"]


def test_decompose_resid(run):
    model, logits, cache = run
    parts, labels = cache.decompose_resid(return_labels=True)
    assert labels == ["embed", "pos_embed", "0_attn_out", "0_mlp_out", "1_attn_out", "1_mlp_out"]
    assert_close(parts.sum(0), cache["resid_post", 1])
    assert_close(cache.decompose_resid(layer=1, mlp_input=True).sum(0), cache["resid_mid", 1])
    assert_close(cache.decompose_resid(mode="attn", incl_embeds=False)[1], cache["attn_out", 1])
    assert_close(cache.decompose_resid(mode="mlp", incl_embeds=False)[1], cache["mlp_out", 1])
    parts = cache.decompose_resid(apply_ln=True)
    assert_close(parts.sum(0) @ model.W_U + model.b_U, logits)
    assert (parts[1:].sum(0) @ model.W_U + model.b_U - logits).abs().max() > 1e-2  # the control


def test_accumulated_resid(run):
    model, logits, cache = run
    stack, labels = cache.accumulated_resid(incl_mid=True, return_labels=True)
    assert labels == ["0_pre", "0_mid", "1_pre", "1_mid", "final_post"]
    for i, key in enumerate([("resid_pre", 0), ("resid_mid", 0), ("resid_pre", 1), ("resid_mid", 1)]):
        assert torch.equal(stack[i], cache[key])
    assert torch.equal(stack[-1], cache["resid_post", 1])
    last = cache.accumulated_resid(apply_ln=True)[-1]
    assert_close(last @ model.W_U + model.b_U, logits)
    assert_close(cache.accumulated_resid(pos_slice=-1)[-1], cache["resid_post", 1][:, -1])


def test_apply_ln_to_stack(run):
    model, _, cache = run
    stack = cache.decompose_resid()
    assert_close(cache.apply_ln_to_stack(stack).sum(0), normed(model, cache, cache["resid_post", 1]))


def test_logit_attrs(run):
    model, logits, cache = run
    answers = torch.tensor([0, 4, 2, 6, 5])
    stack = cache.decompose_resid(pos_slice=-1)
    attrs = cache.logit_attrs(stack, answers, pos_slice=-1)
    want = logits[torch.arange(5), -1, answers] - model.b_U[answers]
    assert_close(attrs.sum(0), want)
    wrong = torch.tensor([1, 1, 1, 1, 1])
    attrs = cache.logit_attrs(stack, answers, incorrect_tokens=wrong, pos_slice=-1)
    assert_close(attrs.sum(0), want - (logits[:, -1, 1] - model.b_U[1]))
    named = cache.logit_attrs(stack, "3", pos_slice=-1)
    assert_close(named.sum(0), logits[:, -1, 3] - model.b_U[3])


def test_head_results(run):
    model, _, cache = run
    heads, labels = cache.stack_head_results(return_labels=True, incl_remainder=True)
    assert labels == [*model.all_head_labels(), "remainder"]
    assert_close(heads.sum(0), cache["resid_post", 1])
    for layer, head in itertools.product(range(LAYERS), range(HEADS)):
        want = cache["z", layer][:, :, head] @ model.W_O[layer, head]
        assert_close(heads[layer * HEADS + head], want)
    cache.compute_head_results()
    assert_close(cache["result", 1].sum(2) + model.b_O[1], cache["attn_out", 1])
    model.set_use_attn_result(True)
    _, direct = model.run_with_cache(rows())
    assert_close(direct["result", 1], cache["result", 1])


def test_neuron_results(run):
    model, _, cache = run
    neurons = cache.get_neuron_results(1)
    assert neurons.shape == (5, 3, D_MLP, WIDTH)
    assert_close(neurons.sum(2) + model.b_out[1], cache["mlp_out", 1])
    stack, labels = cache.stack_neuron_results(LAYERS, return_labels=True, incl_remainder=True)
    assert len(labels) == LAYERS * D_MLP + 1 and labels[0] == "L0N0"
    assert_close(stack.sum(0), cache["resid_post", 1])
    assert_close(stack[D_MLP + 2], neurons[:, :, 2])


def test_full_resid_decomposition(run):
    model, logits, cache = run
    for expand_neurons in (True, False):
        stack, labels = cache.get_full_resid_decomposition(expand_neurons=expand_neurons, return_labels=True)
        n_mlp = LAYERS * (D_MLP if expand_neurons else 1)
        assert len(stack) == len(labels) == LAYERS * HEADS + n_mlp + 3
        assert_close(stack.sum(0), cache["resid_post", 1])
    has_norm = model.cfg.normalization_type is not None  # theirs stops with a KeyError where there is none
    projected = cache.get_full_resid_decomposition(apply_ln=has_norm, project_output_onto=model.W_U)
    assert_close(projected.sum(0) + model.b_U, logits)
    mid = cache.get_full_resid_decomposition(layer=1, mlp_input=True)
    assert_close(mid.sum(0), cache["resid_mid", 1])


def test_other_methods_of_a_cache(run):
    model, _, cache = run
    assert torch.equal(cache.stack_activation("pattern")[1], cache["pattern", 1])
    assert set(cache.keys()) == {name for name, _ in cache.items()} and len(cache) == len(list(cache.values()))
    assert cache.apply_slice_to_batch_dim((1, 3))["embed"].shape == (2, 3, WIDTH)
    assert torch.equal(cache["mlp_out", -1], cache["blocks.1.hook_mlp_out"])
    _, one = model.run_with_cache(rows(1))
    assert one.remove_batch_dim()["embed"].shape == (3, WIDTH)
    assert "hook_embed" in cache.to("cpu")
    cache.toggle_autodiff(mode=True)
    assert torch.is_grad_enabled()
    cache.toggle_autodiff(mode=False)
    assert not torch.is_grad_enabled()


def test_a_cache_of_an_mlp():
    config = RunConfig(task=TaskConfig(p=P, layout="a b"), model=ModelConfig(arch="mlp", d_model=8, d_mlp=12))
    model = build_model(config)
    logits, cache = model.run_with_cache(rows()[:, :2])
    assert isinstance(cache, ActivationCache) and cache["post", 0].shape == (5, 1, 12)
    assert_close((cache["post", 0] @ model.W_U + model.b_U)[:, 0], logits[:, -1])


def test_gradients_in_the_cache():
    model = make(outputs="tokens")
    with torch.enable_grad():
        _, cache = model.run_with_cache(rows(), return_type="loss", incl_bwd=True)
    nudge = 1e-5

    def shifted(sign):
        def add(x, hook):
            x = x.clone()
            x[2, 1, 3] += sign * nudge
            return x

        name = "blocks.1.hook_resid_pre"
        return model.run_with_hooks(rows(), return_type="loss", fwd_hooks=[(name, add)])

    slope = (shifted(1) - shifted(-1)) / (2 * nudge)
    assert cache["blocks.1.hook_resid_pre_grad"][2, 1, 3].item() == pytest.approx(slope.item(), rel=1e-5)


# ---- weights ----------------------------------------------------------------------------------------


def test_factored_matrices():
    model = make()
    assert isinstance(model.OV, FactoredMatrix) and model.OV.shape == (LAYERS, HEADS, WIDTH, WIDTH)
    full = model.W_V[1, 2] @ model.W_O[1, 2]
    assert_close(model.OV[1, 2].AB, full)
    assert_close(model.blocks[1].attn.OV[2].AB, full)
    assert_close(model.QK[0, 1].AB, model.W_Q[0, 1] @ model.W_K[0, 1].T)
    U, S, Vh = model.OV[1, 2].svd()
    assert_close(S.sort(descending=True).values[:D_HEAD], torch.linalg.svdvals(full)[:D_HEAD])
    assert model.OV[1, 2].norm().item() == pytest.approx(full.norm().item(), rel=1e-10)
    circuit = FactoredMatrix(model.W_E @ model.W_V[0, 0], model.W_O[0, 0] @ model.W_U)
    assert_close(circuit.AB, model.W_E @ model.OV[0, 0].AB @ model.W_U)


@only_3
def test_composition_scores_are_those_of_3_9():
    model = make()
    legacy = to_transformer_lens(model)
    for mode in "QKV":
        assert_close(model.all_composition_scores(mode), legacy.all_composition_scores(mode))
    for layer, mlp_input, include in itertools.product((0, 1), (False, True), (False, True)):
        # theirs adds in float32
        difference = model.accumulated_bias(layer, mlp_input, include)
        difference = difference - legacy.accumulated_bias(layer, mlp_input, include)
        assert difference.abs().max() < 10 * torch.finfo(torch.float32).eps
    assert model.all_head_labels() == legacy.all_head_labels()
    grid = torch.tensor([[0, 1], [2, 3]])
    assert torch.equal(model.tokens_to_residual_directions(grid), legacy.tokens_to_residual_directions(grid))


def test_svd_interpreter():
    """The SVD interpreter works on a model with as many logits as tokens, which TransformerLens requires."""
    model = make(outputs="tokens", dtype=torch.float32)
    assert SVDInterpreter(model).get_singular_vectors("OV", 1, num_vectors=2, head_index=0).shape[-1] == 2
