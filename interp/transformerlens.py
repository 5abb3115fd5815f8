"""Exchange of models with TransformerLens: 3.9's HookedTransformer and 4's TransformerBridge.

>>> bridge = to_transformer_lens(run.last.model)
>>> model = from_transformer_lens(torch.load(path, weights_only=True), act_fn="relu", normalization_type=None)
"""

import dataclasses
import re
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
import transformer_lens
from torch import Tensor

from train.config.model import Activation, Attention
from train.errors import UsageError
from train.model import HookedMLP, HookedTransformer, HookedTransformerConfig, parameter_shapes

BUFFERS = (".mask", ".IGNORE")
"""Endings of the names of TransformerLens's buffers, which hold no weights."""
NOT_THEIRS = ("tanh", "square")
"""Activation functions of this package that TransformerLens does not have."""
CARRIED = frozenset(
    (
        *("n_layers", "d_model", "n_heads", "d_head", "d_mlp", "n_ctx", "d_vocab", "d_vocab_out", "attn_only"),
        *("act_fn", "normalization_type", "positional_embedding_type", "attention_dir", "eps", "device", "dtype"),
        *("biases", "init_mode", "init_scale", "seed", "vocabulary", "operator", "model_name"),
        *("use_attn_result", "use_split_qkv_input", "use_attn_in", "use_hook_mlp_in"),
    )
)
"""Fields of a model's config that TransformerLens has too, or that do not change what the model computes. Any other
field must be at its default, so that an option added to our models is never dropped silently."""
REFUSED = {
    "rotary_": "rotary positions",
    "._W_K": "grouped-query attention",
    "._W_V": "grouped-query attention",
}
"""Architectures that cannot be imported, by parts of their tensors' names."""


def to_transformer_lens(model: HookedTransformer | HookedMLP) -> Any:
    """``model`` as a TransformerLens model: a TransformerBridge under version 4, a HookedTransformer under 3.9.

    The result is in evaluation mode, on the CPU; sinusoidal positions become fixed values of W_pos.

    Raises:
        UsageError: the model is an MLP, or has a setting that TransformerLens does not have: norm after the residual
            sums, an attention rate or output scale other than 1, another activation function.
    """
    if not isinstance(model, HookedTransformer):
        raise UsageError("an MLP has no counterpart in TransformerLens: only transformers can be exported")
    if model.cfg.normalization_type == "LNPost":
        raise UsageError("TransformerLens has no norm after the residual sums: norm 'post' cannot be exported")
    if model.cfg.attn_rate != 1:
        raise UsageError(f"TransformerLens has no attention rate: attn_rate = {model.cfg.attn_rate} cannot be exported")
    if model.cfg.act_fn in NOT_THEIRS:
        raise UsageError(f"TransformerLens has no act_fn {model.cfg.act_fn!r}: such a model cannot be exported")
    if model.cfg.output_scale != 1:
        raise UsageError(
            f"TransformerLens does not scale logits: output_scale = {model.cfg.output_scale} cannot be exported"
        )
    for field in dataclasses.fields(model.cfg):
        value = getattr(model.cfg, field.name)
        if field.name not in CARRIED and value != field.default:
            raise UsageError(f"TransformerLens has no {field.name} = {value!r}: such a model cannot be exported")
    weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    package: Any = transformer_lens
    try:
        legacy = package.HookedTransformer  # raises from version 4 on
    except ImportError:
        return _bridge(model.cfg, weights).eval()
    return _legacy(legacy, package.HookedTransformerConfig, model.cfg, weights).eval()


def _shared_fields(cfg: HookedTransformerConfig) -> dict[str, Any]:
    names = "n_layers d_model n_heads d_head n_ctx d_vocab d_vocab_out attn_only act_fn"
    names += " normalization_type attention_dir eps dtype"
    d_mlp = {} if cfg.attn_only else {"d_mlp": cfg.d_mlp}
    return {name: getattr(cfg, name) for name in names.split()} | d_mlp


def _bridge(cfg: HookedTransformerConfig, weights: dict[str, Tensor]) -> Any:
    """A TransformerBridge (version 4)."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources import native
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    config = TransformerBridgeConfig(**_shared_fields(cfg), init_weights=False)
    bridge = native.boot(config, device="cpu", dtype=cfg.dtype)
    bridge.load_state_dict(convert_tl_checkpoint(weights, config), strict=True)
    return bridge


def _legacy(model_class: Any, config_class: Any, cfg: HookedTransformerConfig, weights: dict[str, Tensor]) -> Any:
    """A HookedTransformer (version 3.9)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        legacy = model_class(config_class(**_shared_fields(cfg), init_weights=False, device="cpu"))
    buffers = {name: tensor for name, tensor in legacy.state_dict().items() if name.endswith(BUFFERS)}
    legacy.load_state_dict(weights | buffers, strict=True)
    return legacy


def from_transformer_lens(
    state_dict: Mapping[str, Tensor],
    *,
    act_fn: Activation = "relu",
    normalization_type: Literal["LN", "LNPre"] | None,
    attention_dir: Attention = "causal",
    vocabulary: tuple[str, ...] | None = None,
) -> HookedTransformer:
    """Our HookedTransformer, in evaluation mode, from the state dict of TransformerLens 3.9's.

    Sizes come from the tensors' shapes. Buffers are dropped, and so are tensors under unknown names that equal one of
    the weights.

    Args:
        state_dict: weights by name.
        act_fn: activation function, which a state dict does not record; ignored where no block has an MLP.
        normalization_type: None, "LN" (trained scale and shift), or "LNPre" (scale and shift folded into the weights).
        attention_dir: "causal" or "bidirectional".
        vocabulary: names of the tokens; default: numbers, then "=" and "op" as far as there are such tokens.

    Raises:
        UsageError: weights are missing or unknown, or the architecture has no counterpart here.
    """
    weights = {name: tensor for name, tensor in state_dict.items() if not name.endswith(BUFFERS)}
    for name in weights:
        for part, what in REFUSED.items():
            if part in name:
                raise UsageError(f"the state dict has {name}: models with {what} cannot be imported")
    cfg = _infer(weights, act_fn=act_fn, norm=normalization_type, attention_dir=attention_dir)
    cfg.vocabulary = vocabulary or _guess_vocabulary(cfg)
    ours = parameter_shapes(cfg)  # before a model is built, so that sizes are never larger than the tensors at hand
    if normalization_type == "LNPre":
        folded = {name: shape for name, shape in ours.items() if re.search(r"\bln\w+\.[wb]$", name)}
        weights = {
            name: torch.full(s, float(name.endswith("w")), dtype=cfg.dtype) for name, s in folded.items()
        } | weights
    _check(weights, ours)
    model = HookedTransformer(cfg)
    model.load_state_dict({name: weights[name] for name in ours}, strict=True)
    return model.eval()


def _infer(weights: Mapping[str, Tensor], *, act_fn: Any, norm: Any, attention_dir: Any) -> HookedTransformerConfig:
    """The config that the shapes of weights determine."""
    first = "blocks.0.attn.W_Q", "embed.W_E", "pos_embed.W_pos", "unembed.W_U"
    missing = [name for name in first if name not in weights]
    if missing:
        raise UsageError(f"the state dict has no {missing[0]}: it is not a HookedTransformer's")
    attn_only = not any(".mlp." in name for name in weights)
    if not attn_only and "blocks.0.mlp.W_in" not in weights:
        raise UsageError("the state dict has no blocks.0.mlp.W_in, but other weights of an MLP: it is not complete")
    sizes = [n for name in first for n in weights[name].shape]
    if weights["blocks.0.attn.W_Q"].ndim != 3 or any(weights[name].ndim != 2 for name in first[1:]) or 0 in sizes:
        raise UsageError(
            "blocks.0.attn.W_Q, embed.W_E, pos_embed.W_pos or unembed.W_U do not have the axes of a model's"
        )
    n_heads, d_model, d_head = weights["blocks.0.attn.W_Q"].shape
    layers = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    if layers != set(map(str, range(len(layers)))):
        raise UsageError(f"the state dict has blocks {', '.join(sorted(layers)[:5])}: they are not numbered from 0")
    return HookedTransformerConfig(
        n_layers=len(layers),
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_mlp=0 if attn_only else weights["blocks.0.mlp.W_in"].shape[1],
        n_ctx=weights["pos_embed.W_pos"].shape[0],
        d_vocab=weights["embed.W_E"].shape[0],
        d_vocab_out=weights["unembed.W_U"].shape[1],
        attn_only=attn_only,
        act_fn="relu" if attn_only else act_fn,
        normalization_type=None if norm is None else "LN",
        attention_dir=attention_dir,
        biases="all",
        model_name="imported",
        dtype=weights["embed.W_E"].dtype,
    )


def _guess_vocabulary(cfg: HookedTransformerConfig) -> tuple[str, ...]:
    """Names of tokens: numbers, then "=" and "op", as many as have no logit or as a row of this length holds."""
    n_special = cfg.d_vocab - cfg.d_vocab_out or {3: 1, 4: 2}.get(cfg.n_ctx, 0)
    special = ("=", "op")[:n_special] if 0 <= n_special <= 2 else ()
    return tuple(map(str, range(cfg.d_vocab - len(special)))) + special


def _check(weights: Mapping[str, Tensor], ours: Mapping[str, torch.Size]) -> None:
    """Refuse weights that do not fit the model."""
    for name, shape in ours.items():
        if name not in weights:
            raise UsageError(f"the state dict has no {name}: check normalization_type, or it is not complete")
        if weights[name].shape != shape:
            raise UsageError(
                f"{name} has shape {tuple(weights[name].shape)}; with the other tensors it must be {tuple(shape)}"
            )
    for name, tensor in weights.items():
        if name not in ours and not any(torch.equal(tensor, weights[known]) for known in ours):
            raise UsageError(f"the state dict has {name}, but the model does not: check normalization_type")
