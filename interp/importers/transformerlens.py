"""State dicts of TransformerLens 3.x's HookedTransformer, and checkpoints as its Grokking_Demo saves them.

A state dict does not record act_fn, normalization_type and attention_dir; they come from a TransformerLens config,
whole or in part, as a JSON file or under "config" in the checkpoint. The demo's train_indices are the split.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from interp.transformerlens import from_transformer_lens
from train.algebra.groups import parse_group
from train.errors import DataError, UsageError

from .common import Given, Imported, found_biases, make_config, settle, split_of, unknown_of
from .names import short
from .nanda import outputs
from .unwrapping import Weights, converted, state_dicts

LAYOUTS = {2: "a b", 3: "a b =", 4: "a op b =", 5: "eos a op b ="}
"""Layouts first assumed for rows of each length; ``tokens`` settles the layout."""
N_MARKS = {2: 0, 3: 1, 4: 2, 5: 3}
"""Number of marks (tokens that are not operands) in rows of each length."""
MAX_UNUSED = 3
"""Most tokens of a vocabulary that are neither elements nor marks."""
ALIASES = {"gelu_fast": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "swish": "silu"}
"""Our names of activation functions by other names in use."""
ONLY: dict[str, tuple[Any, ...]] = {
    "act_fn": ("relu", "gelu", "gelu_new", "silu", "tanh", "square"),
    "normalization_type": (None, "LN", "LNPre"),
    "attention_dir": ("causal", "bidirectional"),
    "positional_embedding_type": ("standard",),
    "attn_only": (False, True),
    "gated_mlp": (False,),
    "parallel_attn_mlp": (False,),
    "use_attn_scale": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "use_local_attn": (False,),
    "final_rms": (False,),
    "use_normalization_before_and_after": (False,),
    "use_hook_tokens": (False,),
    "post_embedding_ln": (False,),
    "num_experts": (None,),
    "n_key_value_heads": (None,),
    "attn_scores_soft_cap": (-1, -1.0, 0, None),
    "output_logits_soft_cap": (-1, -1.0, 0, None),
    "eps": (1e-5,),
}
"""Allowed values of a config's settings, where it has them: a run can express no others."""


def read(raw: Any, given: Given) -> Imported:
    """Read the model."""
    raw_models = state_dicts(raw, given.step)
    cfg = _checked_config(given.config, next(iter(raw_models.values())))
    given = replace(given, config=cfg)
    models = converted(raw_models, lambda weights: hooked(weights, cfg))
    first = next(iter(models.values()))
    model = fields(models, "pre" if cfg["normalization_type"] else "none")
    model |= {"attention": cfg.get("attention_dir", "causal")}
    model |= {} if model["attn_only"] else {"act_fn": cfg["act_fn"]}
    task, n = _task(given, first)
    model["outputs"] = outputs(first["unembed.W_U"].shape[1], n, first["embed.W_E"].shape[0])
    config = make_config(given, task, model)
    is_train, indices = split_of(config), raw.get("train_indices") if isinstance(raw, Mapping) else None
    notes: tuple[str, ...] = ()
    if indices is not None and is_train is None:
        is_train, notes = _from_indices(indices, n * n), ("the split is the file's train_indices",)
        config["task"].setdefault("train_frac", float(is_train.double().mean()))
    return Imported(config, models, is_train, unknown_of(config), notes, knows_tokens=False)


def _checked_config(settings: Mapping[str, Any], weights: Weights) -> dict[str, Any]:
    """The settings of a config, checked to be ones that a run here can have.

    Raises:
        UsageError: a setting that the weights do not record is missing.
        DataError: a setting has another value, or the weights contradict it.
    """
    cfg, attn_only = dict(settings), not any(".mlp." in name for name in weights)
    if isinstance(cfg.get("act_fn"), str):
        cfg["act_fn"] = ALIASES.get(cfg["act_fn"], cfg["act_fn"])
    if attn_only:
        cfg["act_fn"] = "relu"  # there is no MLP; configs have any value here
    for name in ("act_fn", "normalization_type"):
        if name not in cfg:
            raise UsageError(
                f"a state dict does not record {name}: give --config FILE.json with act_fn, normalization_type (null "
                "for none) and attention_dir, as the TransformerLens config has them"
            )
    for name, allowed in ONLY.items():
        if name in cfg and cfg[name] not in allowed:
            raise DataError(f"its config has {name} = {short(cfg[name])}; a run here can have {_listed(allowed)}")
    if cfg.get("attn_only", attn_only) != attn_only:
        raise DataError(f"its config has attn_only = {cfg['attn_only']}, which its weights contradict: check --config")
    _check_scale(cfg)
    return cfg


def _listed(allowed: tuple[Any, ...]) -> str:
    return " or ".join(map(repr, allowed))


def _check_scale(cfg: Mapping[str, Any]) -> None:
    """Refuse an attention scale other than the square root of d_head, for which -1 stands."""
    scale, d_head = cfg.get("attn_scale", -1), cfg.get("d_head")
    if scale in (-1, None):
        return
    if not isinstance(scale, int | float) or not isinstance(d_head, int) or abs(scale - d_head**0.5) > 1e-6 * scale:
        raise DataError(f"its config has attn_scale = {short(scale)}; a run here has the square root of d_head")


def hooked(weights: Weights, cfg: Mapping[str, Any]) -> Weights:
    """The state dict of our model: checked, complete, without buffers and duplicates.

    Raises:
        DataError: the weights do not fit a HookedTransformer of ours.
    """
    try:
        model = from_transformer_lens(
            weights,
            act_fn=cfg.get("act_fn", "relu"),
            normalization_type=cfg["normalization_type"],
            attention_dir=cfg.get("attention_dir", "causal"),
        )
    except UsageError as error:
        raise DataError(str(error)) from error
    except (ValueError, RuntimeError, IndexError) as error:
        raise DataError(f"the tensors are not a HookedTransformer's: {error}") from error
    return {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}


def fields(models: Mapping[int, Weights], norm: str) -> dict[str, Any]:
    """Fields of our model config that shapes and zero biases determine."""
    first = next(iter(models.values()))
    n_heads, d_model, d_head = first["blocks.0.attn.W_Q"].shape
    biases = [found_biases(weights) for weights in models.values()]
    attn_only = not any(".mlp." in name for name in first)
    of_mlp = {} if attn_only else {"d_mlp": first["blocks.0.mlp.W_in"].shape[1]}
    return {
        "arch": "transformer",
        "n_layers": len({name.split(".")[1] for name in first if name.startswith("blocks.")}),
        "d_model": d_model,
        "n_heads": n_heads,
        "d_head": d_head,
        "attn_only": attn_only,
        **of_mlp,
        "norm": norm,
        "positions": "learned",
        "attn_rate": 1.0,
        "biases": max(biases, key=("none", "mlp", "all").index),
    }


def _task(given: Given, first: Mapping[str, Tensor]) -> tuple[dict[str, Any], int]:
    """The task and its number of elements: from p or the group, or else from the sizes of logits and vocabulary."""
    settings = given.config
    d_vocab, n_ctx = first["embed.W_E"].shape[0], first["pos_embed.W_pos"].shape[0]
    if n_ctx not in LAYOUTS:
        raise DataError(f"pos_embed.W_pos has {n_ctx} positions; rows here have {_listed(tuple(LAYOUTS))} tokens")
    names = ("op", "p", "group", "train_frac", "split", "split_seed")
    facts = {name: settle(name, getattr(given, name), settings.get(name)) for name in names}
    left = d_vocab - N_MARKS[n_ctx]
    if facts["group"] is None and facts["p"] is None:
        n_logits = first["unembed.W_U"].shape[1]
        is_answers = any(0 <= left - times * n_logits <= MAX_UNUSED for times in (1, 2))
        facts["p"] = n_logits if n_logits < d_vocab and is_answers else left
    try:
        n = facts["p"] if facts["group"] is None else parse_group(facts["group"]).order
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    fits = [] if type(n) is not int else [times for times in (1, 2) if 0 <= left - times * n <= MAX_UNUSED]
    if not fits or type(n) is not int:
        raise DataError(
            f"embed.W_E has {d_vocab} tokens; {short(n)} elements and {N_MARKS[n_ctx]} marks do not explain them"
        )
    return {**facts, "layout": LAYOUTS[n_ctx], "shared_vocabulary": fits[0] == 1}, n


def _from_indices(indices: Any, n_rows: int) -> Bool[Tensor, " rows"]:
    """Mask of the training rows, a-major, from row numbers."""
    if not isinstance(indices, Tensor) or indices.ndim != 1 or indices.is_floating_point():
        raise DataError("train_indices is not a list of row numbers")
    if not len(indices) or int(indices.min()) < 0 or int(indices.max()) >= n_rows:
        raise DataError(f"train_indices has row numbers outside 0 to {n_rows - 1}")
    is_train = torch.zeros(n_rows, dtype=torch.bool)
    is_train[indices.long()] = True
    return is_train
