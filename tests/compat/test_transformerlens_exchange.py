"""Export to TransformerLens's own models, import from them, and models published by others."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from interp.transformerlens import from_transformer_lens, to_transformer_lens
from tests.compat.models import (
    LAYERS,
    WIDTH,
    LegacyConfig,
    LegacyTransformer,
    P,
    assert_close,
    make,
    only_3,
    rows,
)
from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.model import build_model

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

# ---- export and import ------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "pre"])
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"positions": "sinusoidal", "act_fn": "gelu"},
        {"d_head": 3},
        {"act_fn": "gelu_new"},
        {"act_fn": "silu"},
        {"attn_only": True, "d_mlp": None},
    ],
    ids=str,
)
def test_export_has_equal_logits(norm, attention, choices):
    model = make(torch.float32, True, norm=norm, attention=attention, **choices)
    exported = to_transformer_lens(model)
    assert not exported.training and type(exported).__module__.startswith("transformer_lens")
    assert_close(exported(rows()), model(rows()))
    of_mlp = () if "attn_only" in choices else ("W_in", "W_out", "b_in")
    for name in ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U", "b_Q", "b_U", *of_mlp):
        assert torch.equal(getattr(exported, name), getattr(model, name)), name
    with torch.no_grad():
        model.W_E.zero_()
    assert (exported(rows()) - model(rows())).abs().max() > 1e-2  # it owns its weights


@pytest.mark.parametrize(
    "choices, message",
    [
        ({"norm": "post"}, "norm 'post' cannot be exported"),
        ({"attn_rate": 0.5}, "attn_rate = 0.5 cannot be exported"),
        ({"act_fn": "square"}, "no act_fn 'square'"),
        ({"act_fn": "tanh"}, "no act_fn 'tanh'"),
        ({"output_scale": 2.0}, "output_scale = 2.0 cannot be exported"),
    ],
)
def test_export_refuses(choices, message):
    with pytest.raises(ValueError, match=message):
        to_transformer_lens(make(**choices))


def test_export_refuses_an_option_that_nobody_listed(monkeypatch):
    """An option missing from ``CARRIED``, such as one newly added to our models, is refused by name."""
    from interp import transformerlens

    model = make(attention="bidirectional")
    to_transformer_lens(model)  # control
    monkeypatch.setattr(transformerlens, "CARRIED", transformerlens.CARRIED - {"attention_dir"})
    with pytest.raises(ValueError, match="no attention_dir = 'bidirectional': such a model"):
        to_transformer_lens(model)


def test_export_refuses_an_mlp():
    config = RunConfig(task=TaskConfig(p=P, layout="a b"), model=ModelConfig(arch="mlp"))
    with pytest.raises(ValueError, match="only transformers can be exported"):
        to_transformer_lens(build_model(config))


def legacy_state(model) -> dict[str, torch.Tensor]:
    """A state dict as TransformerLens 3.9 writes it: our names, and two buffers per block."""
    buffers = {f"blocks.{i}.attn.mask": torch.ones(0, 0).bool() for i in range(LAYERS)}
    return model.state_dict() | buffers | {"blocks.0.attn.IGNORE": torch.tensor(-torch.inf)}


@pytest.mark.parametrize("norm", ["none", "pre"])
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_import_of_our_own_state(norm, attention):
    model = make(norm=norm, attention=attention, with_norm_weights=True)
    norm_type: Any = {"none": None, "pre": "LN"}[norm]
    direction: Any = attention
    back = from_transformer_lens(
        legacy_state(model), act_fn="relu", normalization_type=norm_type, attention_dir=direction
    )
    assert torch.equal(back(rows()), model(rows())) and not back.training
    assert back.to_string(rows(1)[0]) == "0 1 =" and back.cfg.dtype == torch.float64
    other: Any = "causal" if attention == "bidirectional" else "bidirectional"
    wrong = from_transformer_lens(legacy_state(model), act_fn="relu", normalization_type=norm_type, attention_dir=other)
    assert (wrong(rows()) - model(rows())).abs().max() > 1e-3  # the control


@pytest.mark.parametrize("norm", ["none", "pre"])
def test_import_of_attention_alone(norm):
    model = make(norm=norm, attn_only=True, d_mlp=None, with_norm_weights=True)
    norm_type: Any = {"none": None, "pre": "LN"}[norm]
    back = from_transformer_lens(legacy_state(model), normalization_type=norm_type)
    assert back.cfg.attn_only and torch.equal(back(rows()), model(rows()))
    half = legacy_state(make(norm=norm))
    del half["blocks.0.mlp.W_in"]
    with pytest.raises(ValueError, match=r"no blocks.0.mlp.W_in, but other weights of an MLP"):
        from_transformer_lens(half, normalization_type=norm_type)


def test_import_of_folded_norms():
    model = make(norm="pre")  # scale 1, shift 0: what LNPre computes
    state = {name: tensor for name, tensor in legacy_state(model).items() if "ln" not in name}
    assert_close(from_transformer_lens(state, act_fn="relu", normalization_type="LNPre")(rows()), model(rows()))


def test_import_drops_duplicates_and_refuses_strangers():
    state = legacy_state(make())
    twice = state | {"x_embed": state["embed.W_E"].clone()}
    assert "x_embed" not in from_transformer_lens(twice, act_fn="relu", normalization_type=None).state_dict()
    W_V = state["blocks.0.attn.W_V"]
    for extra, message in [
        ({"x_embed": state["embed.W_E"] + 1}, "has x_embed, but the model does not"),
        ({"blocks.0.attn.rotary_sin": torch.ones(2)}, "rotary positions cannot be imported"),
        ({"blocks.0.attn._W_V": W_V}, "grouped-query attention cannot be imported"),
        (
            {"blocks.0.mlp.W_in": torch.ones(WIDTH, 3)},
            r"blocks.0.mlp.b_in has shape \(8,\); with the other tensors it must be \(3,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            from_transformer_lens(state | extra, act_fn="relu", normalization_type=None)
    for name in ("embed.W_E", "blocks.1.attn.b_Q"):
        less = {key: tensor for key, tensor in state.items() if key != name}
        with pytest.raises(ValueError, match=f"has no {name}"):
            from_transformer_lens(less, act_fn="relu", normalization_type=None)
    with pytest.raises(ValueError, match="has no blocks.0.ln1.w: check normalization_type"):
        from_transformer_lens(state, act_fn="relu", normalization_type="LN")
    with pytest.raises(ValueError, match="has blocks.0.ln1.w, .*check normalization_type"):
        from_transformer_lens(legacy_state(make(norm="pre")), act_fn="relu", normalization_type=None)


@only_3
@pytest.mark.parametrize("norm_type", [None, "LN", "LNPre"])
def test_import_of_a_3_9_model(norm_type):
    config = LegacyConfig(
        n_layers=2, d_model=16, d_head=5, n_heads=3, d_mlp=9, act_fn="gelu", normalization_type=norm_type,
        d_vocab=9, d_vocab_out=7, n_ctx=4, seed=3, device="cpu",
    )  # fmt: skip
    legacy = LegacyTransformer(config)
    for parameter in legacy.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    tokens = torch.tensor([[1, 8, 2, 7], [6, 8, 6, 7]])
    model = from_transformer_lens(legacy.state_dict(), act_fn="gelu", normalization_type=norm_type)
    assert_close(model(tokens), legacy(tokens))
    assert model.to_string(tokens[0]) == "1 op 2 ="


@only_3
@pytest.mark.parametrize("attn_only", [False, True])
@pytest.mark.parametrize("norm", ["none", "pre"])
def test_initial_weights_are_those_of_3_9(norm, attn_only):
    choices: Any = {"init": "transformerlens", "outputs": "answers", "norm": norm, "n_layers": 2}
    choices["attn_only"] = attn_only
    model: Any = build_model(RunConfig(task=TaskConfig(p=11), model=ModelConfig(**choices), seed=42))
    norm_type = {"none": None, "pre": "LN"}[norm]
    config = LegacyConfig(
        n_layers=2, d_model=128, d_head=32, n_heads=4, d_mlp=512, act_fn="relu", normalization_type=norm_type,
        d_vocab=12, d_vocab_out=11, n_ctx=3, seed=42, device="cpu", attn_only=attn_only,
    )  # fmt: skip
    legacy = LegacyTransformer(config)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in legacy.named_parameters()]
    for name, parameter in legacy.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


@pytest.mark.parametrize("group, answers", [("C113", "sum"), ("S5", None), ("A5", None)])
def test_models_of_chughtai(group, answers):
    """Transformers of Chughtai et al. 2023 (rep-theory-mech-interp): state dicts with doubled embeddings."""
    folder = os.environ.get("GROKLENS_THIRD_PARTY")
    if folder is None:
        pytest.skip("set GROKLENS_THIRD_PARTY to the folder of other people's models")
    path = next(Path(folder).glob(f"reptheory_{group}_T_seed*.pt"))
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = from_transformer_lens(state, act_fn="relu", normalization_type=None)
    n = model.cfg.d_vocab_out
    a, b = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    logits = model(torch.stack([a, b, torch.full_like(a, n)], dim=1))[:, -1].double()
    predicted = logits.argmax(-1).view(n, n)
    # A group's table: every row and every column is a permutation (a random model's is not).
    assert (predicted.sort(0).values == torch.arange(n)[:, None]).all()
    assert (predicted.sort(1).values == torch.arange(n)).all()
    if answers == "sum":
        assert torch.equal(predicted, ((a + b) % n).view(n, n))
        loss = torch.nn.functional.cross_entropy(logits, (a + b) % n).item()
        assert loss == pytest.approx(0.3 * 8.8592e-8 + 0.7 * 1.8848e-7, rel=1e-4)  # published: train, test
