"""The models' interface for TransformerLens's tools and for users: hooks, flags, stacked weights, text."""

import copy
import itertools

import pytest
import torch

from tests.oracles.model import EPS, assert_close, rows, small
from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.errors import UsageError
from train.model import build_model, hooked_config
from train.tasks.task import make_task

# ---- hooks ------------------------------------------------------------------------------------------


def test_flags_add_hooks_and_change_no_number():
    model, tokens = small(norm="pre"), rows()
    logits, cache = model.run_with_cache(tokens)
    for flag, hooks in {
        "use_attn_result": ["attn.hook_result"],
        "use_split_qkv_input": [f"{where}hook_{c}_input" for c in "qkv" for where in ("", "attn.")],
        "use_attn_in": ["hook_attn_in"],
        "use_hook_mlp_in": ["hook_mlp_in"],
    }.items():
        names = [f"blocks.{layer}.{hook}" for layer in range(2) for hook in hooks]
        for name in names:
            assert name not in cache
            with pytest.raises(ValueError, match=rf"call model.set_{flag}\(True\) first"):
                model.add_hook(name, lambda x, hook: x)
        getattr(model, f"set_{flag}")(True)
        again, more = model.run_with_cache(tokens)
        assert set(more) - set(cache) == set(names)
        assert_close(again, logits)
        model.add_hook(names[0], lambda x, hook: x)
        model.reset_hooks()
        getattr(model, f"set_{flag}")(False)


def test_a_hook_that_is_not_there_is_named_before_any_is_set():
    model = small(n_layers=2)

    def identity(x, hook):
        return x

    with pytest.raises(UsageError, match="no hook 'blocks.2.hook_resid_pre' in this HookedTransformer.*did you mean"):
        model.run_with_hooks(rows(), fwd_hooks=[("hook_embed", identity), ("blocks.2.hook_resid_pre", identity)])
    assert not any(point.fwd_hooks for point in model.hook_points())
    model.run_with_hooks(rows(), fwd_hooks=[("hook_embed", identity), (lambda name: "resid" in name, identity)])


def test_split_inputs_and_attn_in_exclude_each_other():
    model = small()
    model.set_use_attn_in(True)
    with pytest.raises(ValueError, match=r"set_use_attn_in\(False\) first"):
        model.set_use_split_qkv_input(True)
    model.set_use_attn_in(False)
    model.set_use_split_qkv_input(True)
    with pytest.raises(ValueError, match="exclude each other"):
        model.set_use_attn_in(True)


@pytest.mark.parametrize("place", ["hook_q_input", "attn.hook_q_input"])
def test_one_heads_query_input_can_be_changed_alone(place):
    model, tokens = small(), rows()
    model.set_use_split_qkv_input(True)
    _, cache = model.run_with_cache(tokens)

    def erase(x, hook):
        x = x.clone()
        x[:, :, 1] = 0
        return x

    with model.hooks(fwd_hooks=[(f"blocks.0.{place}", erase)]):
        _, changed = model.run_with_cache(tokens)
    assert torch.equal(cache["q", 0][:, :, 0], changed["q", 0][:, :, 0])
    assert torch.equal(changed["q", 0][:, :, 1], model.b_Q[0, 1].expand(25, 3, -1))
    assert torch.equal(cache["k", 0], changed["k", 0])


def test_pattern_rows_sum_to_one_plus_the_constant_part():
    for attention, n_keys in (
        ("causal", torch.tensor([1, 2, 3])),
        ("bidirectional", torch.tensor([3, 3, 3])),
    ):
        _, cache = small(attention=attention, attn_rate=0.25).run_with_cache(rows())
        pattern = cache["pattern", 0]
        assert (pattern.sum(-1) - (0.25 + 0.75 * n_keys)).abs().max() < 10 * EPS
        above = pattern[..., torch.triu(torch.ones(3, 3), 1).bool()]
        assert (above == 0).all() if attention == "causal" else (above >= 0.75).all()


def test_cache_of_one_row_without_batch_dimension():
    model = small()
    _, cache = model.run_with_cache(rows()[:1], remove_batch_dim=True)
    assert cache["resid_post", 1].shape == (3, 8) and not cache.has_batch_dim
    _, plain = model.run_with_cache(rows(), return_cache_object=False, names_filter="hook_embed")
    assert type(plain) is dict and list(plain) == ["hook_embed"]


# ---- weights and other methods ----------------------------------------------------------------------


def test_stacked_weights_and_labels():
    model = small()
    for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"):
        assert torch.equal(getattr(model, name)[1], getattr(model.blocks[1].attn, name)), name
    for name in ("W_in", "b_in", "W_out", "b_out"):
        assert torch.equal(getattr(model, name)[1], getattr(model.blocks[1].mlp, name)), name
    assert torch.equal(model.W_E_pos, torch.cat([model.W_E, model.W_pos]))
    assert torch.equal(model.OV[1, 1].AB, model.W_V[1, 1] @ model.W_O[1, 1])
    assert torch.equal(model.blocks[1].attn.QK[1].AB, model.W_Q[1, 1] @ model.W_K[1, 1].T)
    assert model.all_head_labels() == ["L0H0", "L0H1", "L1H0", "L1H1"]
    assert [i for i, _ in model.blocks_with("attn")] == [0, 1] and model.blocks_with("ssm") == []


def test_accumulated_bias():
    model = small()
    b_O, b_out = model.b_O, model.b_out
    for layer, mlp_input, include, want in [
        (0, False, True, torch.zeros(8)),
        (0, True, True, b_O[0]),
        (1, False, True, b_O[0] + b_out[0]),
        (1, True, False, b_O[0] + b_O[1]),
        (2, False, True, b_O[0] + b_O[1] + b_out[0] + b_out[1]),
    ]:
        assert (model.accumulated_bias(layer, mlp_input, include) - want).abs().max() < 10 * EPS


def test_composition_scores():
    model = small()
    for mode, right in (("Q", model.QK), ("K", model.QK.T), ("V", model.OV)):
        scores = model.all_composition_scores(mode)
        assert not scores[1].any() and not scores[0, :, 0].any()
        for h, k in itertools.product(range(2), repeat=2):
            left_matrix, right_matrix = model.OV[0, h].AB, right[1, k].AB
            want = (left_matrix @ right_matrix).norm() / (left_matrix.norm() * right_matrix.norm())
            assert scores[0, h, 1, k].item() == pytest.approx(want.item(), rel=1e-10)
    with pytest.raises(ValueError, match="choose 'Q', 'K' or 'V'"):
        model.all_composition_scores("O")


def test_directions():
    model = small()
    W_U = model.W_U
    assert torch.equal(model.tokens_to_residual_directions("4"), W_U[:, 4])
    assert torch.equal(model.tokens_to_residual_directions(4), W_U[:, 4])
    assert torch.equal(model.tokens_to_residual_directions(torch.tensor([4])), W_U[:, 4])
    grid = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert torch.equal(model.tokens_to_residual_directions(grid)[1, 0], W_U[:, 3])


def test_config_follows_device_and_type_and_copies_are_apart():
    model = small()
    assert (model.cfg.device, model.cfg.dtype) == ("cpu", torch.float64)
    other = copy.deepcopy(model).float()
    other.set_use_attn_result(True)
    assert (other.cfg.dtype, model.cfg.dtype) == (torch.float32, torch.float64)
    assert other.blocks[0].attn.cfg is other.cfg and not model.cfg.use_attn_result
    assert model.to("cpu") is model and model.cpu().cfg.device == "cpu"


def test_building_touches_no_global_generator():
    before = torch.get_rng_state()
    small()
    small("a b", arch="mlp")
    assert torch.equal(torch.get_rng_state(), before)


# ---- tokens as text ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["a b", "a b =", "a op b ="])
@pytest.mark.parametrize("group", [None, "D3"])
def test_vocabulary_is_the_tasks(layout, group):
    task = TaskConfig(layout=layout, p=7) if group is None else TaskConfig("compose", None, group, layout=layout)
    config = RunConfig(task=task)
    assert hooked_config(config).vocabulary == make_task(config).vocabulary


def test_text():
    model = small("a op b =", p=13)
    row = torch.tensor([[12, 14, 7, 13]])
    assert torch.equal(model.to_tokens("12 + 7 ="), row) and torch.equal(model.to_tokens("12 op 7 ="), row)
    assert model.to_str_tokens(row) == model.to_str_tokens("12 + 7 =") == ["12", "op", "7", "="]
    assert model.to_str_tokens(["1 2", "3 4"]) == [["1", "2"], ["3", "4"]]
    assert model.to_string(row[0]) == "12 op 7 =" and model.to_string(row) == ["12 op 7 ="]
    assert model.to_string(7) == model.to_single_str_token(7) == "7"
    assert model.to_single_token(" 12") == 12
    assert torch.equal(model("12 + 7 ="), model(row))
    assert torch.equal(small(p=13).to_tokens(["12 + 7 =", "1 2 ="]), torch.tensor([[12, 7, 13], [1, 2, 13]]))


@pytest.mark.parametrize(
    "text, message",
    [("12 - 7 =", "'-' is no token"), ("99", "'99' is no token"), (["1", "1 2"], "give equal lengths")],
)
def test_text_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        small(p=13).to_tokens(text)


def test_other_refusals():
    model = small()
    with pytest.raises((ValueError, TypeError), match="Loss"):  # the type checker may be first
        model(rows(), "Loss")
    with pytest.raises(ValueError, match="rows of 4 tokens; the model reads at most 3"):
        model("1 2 = 3")
    with pytest.raises(ValueError, match="exactly one"):
        model.to_single_token("1 2")
    with pytest.raises(ValueError, match="no such token"):
        model.to_tokens("1 2 =", prepend_bos=True)
    with pytest.raises(ValueError, match="give one row"):
        model.to_str_tokens(rows())


# ---- habits from TransformerLens ----------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["transformer", "mlp"])
def test_one_row_of_tokens_needs_no_axis_of_rows(arch):
    model = small("a b", arch=arch)
    row = torch.tensor([3, 4])
    alone, (logits, cache) = model(row), model.run_with_cache(row)
    assert alone.shape == (1, 2, model.cfg.d_vocab_out)
    assert torch.equal(alone, model(row[None])) and torch.equal(alone, logits)
    assert cache["hook_embed"].shape == (1, 2, model.cfg.d_model)
    with pytest.raises(UsageError, match=r"shape \(1, 1, 2\): give rows \[batch, pos\], or one row \[pos\]"):
        model(torch.zeros(1, 1, 2, dtype=torch.long))


def test_rows_of_another_length_are_refused_by_an_mlp():
    with pytest.raises(UsageError, match="rows of 3 tokens; this model reads 2"):
        small("a b", arch="mlp")(torch.zeros(4, 3, dtype=torch.long))


@pytest.mark.parametrize("arch", ["transformer", "mlp"])
def test_a_configuration_goes_to_a_dictionary_and_back(arch):
    from train.model import HookedTransformerConfig

    model = small("a b", arch=arch)
    if arch == "transformer":
        model.set_use_attn_result(True)
    plain = model.cfg.to_dict()
    assert type(plain) is dict and plain["d_model"] == model.cfg.d_model and plain["attn_only"] is False
    assert HookedTransformerConfig.from_dict(plain) == model.cfg
    assert HookedTransformerConfig.from_dict(plain).use_attn_result == model.cfg.use_attn_result
    assert model.W_gate is None
    with pytest.raises(UsageError, match="unknown field 'd_modle'; did you mean 'd_model'"):
        HookedTransformerConfig.from_dict({"d_modle": 3})
    with pytest.raises(UsageError, match="missing .* required"):
        HookedTransformerConfig.from_dict({"d_model": 3})


@pytest.mark.parametrize("norm", ["none", "pre"])
def test_labels_of_a_task_are_tokens_of_a_logit_attribution(norm):
    """The components' contributions to the right answer add up to its logit, bias aside."""
    config = RunConfig(task=TaskConfig(p=7), model=ModelConfig(d_model=16, n_heads=2, norm=norm))
    model, task = build_model(config).double(), make_task(config)
    logits, cache = model.run_with_cache(task.tokens)
    right = logits[:, -1].gather(-1, task.labels)[:, 0]
    assert task.labels.shape == (49, 1)
    stack = cache.decompose_resid(pos_slice=-1)
    found = cache.logit_attrs(stack, tokens=task.labels, pos_slice=-1)
    assert found.shape == (len(stack), 49)
    assert_close(found.sum(dim=0), right)
    others = (task.labels + 1) % 7
    margin = cache.logit_attrs(stack, tokens=task.labels, incorrect_tokens=others, pos_slice=-1)
    assert_close(margin.sum(dim=0), right - logits[:, -1].gather(-1, others)[:, 0])
    everywhere = cache.logit_attrs(cache.decompose_resid(), tokens=task.labels)
    assert everywhere.shape == (len(stack), 49, 3)
    assert_close(everywhere[:, :, -1], found)


def test_a_label_that_is_none_is_refused():
    """The label -1 of a row without an answer is refused; as an index it would mean the last token."""
    config = RunConfig(task=TaskConfig(op="div", p=5), model=ModelConfig(d_model=16, n_heads=2))
    model, task = build_model(config), make_task(config)
    with pytest.raises(UsageError, match=r"tokens from -1 to 4: .*task.rows\('all'\)"):
        model.tokens_to_residual_directions(task.labels)
    some = task.labels[task.rows("all")]
    assert torch.equal(model.tokens_to_residual_directions(some)[3, 0], model.W_U[:, some[3, 0]])


@pytest.mark.parametrize("arch", ["transformer", "mlp"])
def test_processing_centres_the_unembedding(arch):
    model = small("a b", arch=arch)
    tokens = torch.tensor([[1, 2], [3, 0]])
    before = model(tokens).log_softmax(-1)
    model.process_weights_()
    assert model.W_U.mean(dim=-1).abs().max() < 1e-6
    assert_close(model(tokens).log_softmax(-1), before)
