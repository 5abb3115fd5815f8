"""TransformerLens's tools on our model: patching, against hooks made by hand, and analysis."""

import importlib
import itertools
from typing import Any

import pytest
import torch
from transformer_lens import patching

from tests.compat.models import HEADS, IS_4, LAYERS, P, assert_close, make, only_4, rows

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

# ---- patching ---------------------------------------------------------------------------------------

PATCHES = sorted(name for name in dir(patching) if name.startswith("get_act_patch_"))


@pytest.fixture
def patch_case():
    """A model, corrupted tokens, a clean cache and a metric."""
    model, clean = make(), rows(1)
    corrupted = torch.tensor([[5, 2, P]])
    _, cache = model.run_with_cache(clean)
    return model, corrupted, cache, lambda logits: logits[0, -1, 1] - logits[0, -1, 0]


@pytest.mark.parametrize("name", PATCHES)
def test_every_patch_runs(name, patch_case):
    model, corrupted, cache, metric = patch_case
    function = getattr(patching, name)
    if "direct_path" in name:
        _, corrupted_cache = model.run_with_cache(corrupted)
        source = () if name.endswith("all_sources") else (0, 1)
        result = function(model, corrupted, cache, corrupted_cache, metric, *source, verbose=False)
    else:
        result = function(model, corrupted, cache, metric)
    baseline = metric(model(corrupted)).float()
    assert result.isfinite().all() and (result - baseline).abs().max() > 1e-4
    assert not (model.cfg.use_split_qkv_input or any(point.fwd_hooks for point in model.hook_points()))


def test_number_of_patches():
    assert len(PATCHES) == (20 if IS_4 else 18)


def test_patches_equal_hooks_made_by_hand(patch_case):
    model, corrupted, cache, metric = patch_case
    resid = patching.get_act_patch_resid_pre(model, corrupted, cache, metric)
    heads: Any = patching.get_act_patch_attn_head_out_by_pos(model, corrupted, cache, metric)
    assert resid.shape == (LAYERS, 3) and heads.shape == (LAYERS, 3, HEADS)
    for layer, pos in itertools.product(range(LAYERS), range(3)):

        def put(x, hook, pos=pos, head=None):
            x = x.clone()
            index = (slice(None), pos) if head is None else (slice(None), pos, head)
            x[index] = cache[hook.name][index]
            return x

        def effect(name, fn):
            return metric(model.run_with_hooks(corrupted, fwd_hooks=[(name, fn)])).item()

        assert resid[layer, pos].item() == pytest.approx(effect(f"blocks.{layer}.hook_resid_pre", put), rel=1e-5)
        for head in range(HEADS):
            want = effect(f"blocks.{layer}.attn.hook_z", lambda x, hook, p=put, h=head: p(x, hook, head=h))
            assert heads[layer, pos, head].item() == pytest.approx(want, rel=1e-5)


@only_4
def test_direct_path_equals_a_patched_query_input(patch_case):
    model, corrupted, cache, metric = patch_case
    _, corrupted_cache = model.run_with_cache(corrupted)
    paths = patching.get_act_patch_direct_path(
        model, corrupted, cache, corrupted_cache, metric, 0, 2, component="k", verbose=False
    )
    delta = (cache["z", 0] - corrupted_cache["z", 0])[:, :, 2] @ model.W_O[0, 2]

    def add(x, hook):
        x = x.clone()
        x[:, :, 3] += delta
        return x

    model.set_use_split_qkv_input(True)
    for place in ("blocks.1.hook_k_input", "blocks.1.attn.hook_k_input"):
        want = metric(model.run_with_hooks(corrupted, fwd_hooks=[(place, add)])).item()
        assert paths[1, 3].item() == pytest.approx(want, rel=1e-5)


# ---- analysis tools ---------------------------------------------------------------------------------


def analysis(name) -> Any:
    return getattr(importlib.import_module("transformer_lens.tools.analysis"), name)


@only_4
def test_model_protocols():
    protocol = importlib.import_module("transformer_lens.model_protocol")
    for name in ("TransformerLensModel", "TrainableTransformerLensModel", "TransformerLensModelWithWeights"):
        assert isinstance(make(), getattr(protocol, name)), name


@only_4
@pytest.mark.parametrize("norm", ["none", "pre"])
def test_logit_lens(norm):
    model = make(norm=norm, with_norm_weights=True)
    logits, cache = model.run_with_cache(rows())
    lens = analysis("logit_lens")(model, rows(), positions=None)
    assert_close(lens.values[-1], logits)
    assert_close(cache.logit_lens(positions=None).values[-1], logits)
    early = model.unembed(model.ln_final(cache["resid_pre", 1]))
    assert_close(lens.values[1], early)


@only_4
@pytest.mark.parametrize("unit", ["component", "head", "layer"])
@pytest.mark.parametrize("norm", ["none", "pre"])
def test_direct_logit_attribution(unit, norm):
    model = make(norm=norm)
    result = analysis("direct_logit_attribution")(model, rows(1), answer_tokens=4, unit=unit)
    total = result.attribution[-1] if unit == "layer" else result.attribution.sum(0)
    assert total.item() == pytest.approx((model(rows(1))[0, -1, 4] - model.b_U[4]).item(), rel=1e-10)


@only_4
@pytest.mark.parametrize("granularity", ["node", "edge"])
def test_attribution_patching(granularity):
    model, clean, corrupt = make(), rows(1), torch.tensor([[5, 2, P]])
    config = analysis("EdgeAttributionConfig")(granularity=granularity)
    with torch.enable_grad():
        result = analysis("attribution_patch")(model, clean, corrupt, lambda logits: logits[0, -1, 1], config)
    node_type = analysis("Node")
    found = [score for node, score in result.node_scores.items() if node == node_type("mlp_out", 2, layer=1)]
    # The last MLP's write reaches the logit through W_U alone, so the estimate is exact there.
    write = model.run_with_cache(clean)[1]["mlp_out", 1] - model.run_with_cache(corrupt)[1]["mlp_out", 1]
    assert found == [pytest.approx((write[0, -1] @ model.W_U[:, 1]).item(), rel=1e-8)]
    assert not model.cfg.use_attn_result


@only_4
def test_head_subspace_affinity():
    model = make()
    result = analysis("attention_head_subspace_affinity")(model, target_role="Q")
    for source, target in itertools.product(range(HEADS), repeat=2):
        left = torch.linalg.qr(model.W_O[0, source].T).Q
        right = torch.linalg.qr(model.W_Q[1, target]).Q
        want = torch.linalg.svdvals(left.T @ right).square().sum()
        assert result.scores[0, source, 1, target].item() == pytest.approx(want.item(), rel=1e-8)
    assert not result.valid_mask[1].any()


@only_4
def test_collect_activations():
    model = make()
    found = analysis("collect_activations")(
        model, "blocks.1.hook_resid_post", rows(), lambda x: model(x)[:, -1], positions=torch.full((5,), 2)
    )
    assert_close(found, model.run_with_cache(rows())[1]["resid_post", 1][:, 2])


@only_4
def test_tools_refuse_training_mode():
    """Tools refuse a model in training mode, so a loader that forgets eval() is noticed."""
    with pytest.raises(ValueError, match="evaluation mode"):
        analysis("direct_logit_attribution")(make().train(), rows(1), answer_tokens=4)


def test_head_detector():
    detect_head = importlib.import_module("transformer_lens.head_detector").detect_head
    model = make(dtype=torch.float32)
    scores = detect_head(model, "1 2", "previous_token_head")  # it wants rows shorter than n_ctx
    pattern = model.run_with_cache(model.to_tokens("1 2"))[1].stack_activation("pattern")[:, 0]
    wanted = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert_close(scores, (pattern * wanted).sum((-1, -2)) / pattern.sum((-1, -2)))


def test_prompt_helper(capsys):
    test_prompt = importlib.import_module("transformer_lens.utilities").test_prompt
    model = make(dtype=torch.float32, outputs="tokens")
    test_prompt("1 + 2", "=", model, prepend_space_to_answer=False, top_k=3)
    assert "Ranks of the answer tokens" in capsys.readouterr().out


def test_circuitsvis_gets_what_it_takes():
    model = make(dtype=torch.float32)
    _, cache = model.run_with_cache(rows(1))
    attention, names = cache["pattern", 0][0], model.to_str_tokens(rows(1)[0])
    assert attention.shape == (HEADS, 3, 3) and names == ["0", "1", "="]
    circuitsvis = pytest.importorskip("circuitsvis", reason="circuitsvis is not installed")
    shown = circuitsvis.attention.attention_heads(attention=attention, tokens=names)
    assert "AttentionHeads" in shown.local_src
