"""Zhong et al. 2023 (2306.17844, "pizza"): their transformers, linear models A, B, C, D, X, and Linearformer.

Their transformers have the layout of Nanda et al.'s, without a mask. Facts come from the JSON file beside the weights:
C, attn_coeff, act_fn, diff_vocab, eqn_sign, frac, model_type. ``funcs`` is program text, which is compared with that of
addition and never run; ``attention_dir`` (which says "casual") is ignored. The split is drawn without a seed of its
own, so it is unknown unless flags give it.
"""

from collections.abc import Mapping
from typing import Any

import torch

from train.errors import DataError, UsageError

from .common import Given, Imported, make_config, mlp_fields, n_blocks, refuse_rest, settle, split_of, take, unknown_of
from .names import short
from .nanda import activation, convert, outputs, sizes
from .unwrapping import Weights, converted, state_dicts

LINEAR = ("A", "B", "C", "D", "X")


def read(raw: Any, given: Given) -> Imported:
    """Read the model."""
    models = state_dicts(raw, given.step)
    first = next(iter(models.values()))
    if given.group is not None:
        raise UsageError("this layout has operations on residues alone: give --p, not --group")
    if "unembed.weight" in first:
        return _linear(models, given)
    if "blocks.0.W_in" in first:
        return _linearformer(models, given)
    model, n_ctx, d_vocab = sizes(first)
    task = _task(given, d_vocab, n_ctx)
    rate = given.config.get("attn_coeff")
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise UsageError(
            "the weights do not record attn_coeff: give --config FILE.json, the file saved beside the weights"
        )
    model |= {
        "attention": "bidirectional",
        "attn_rate": float(rate),
        "act_fn": activation(given.config.get("act_fn", "ReLU")),
        "outputs": outputs(take(first, "unembed.W_U", 2).shape[1], task["p"], d_vocab),
    }
    return _imported(given, task, model, converted(models, convert))


def _imported(given: Given, task: dict[str, Any], model: dict[str, Any], snapshots: dict[int, Weights]) -> Imported:
    config = make_config(given, task, model)
    return Imported(config, snapshots, split_of(config), unknown_of(config))


def _task(given: Given, d_vocab: int, n_ctx: int) -> dict[str, Any]:
    """The task; p is C of the JSON file, else the number of tokens of one shared vocabulary."""
    settings = given.config
    if n_ctx not in (2, 3):
        raise DataError(f"pos_embed.W_pos has {n_ctx} positions; a row of this layout is a, b and perhaps '='")
    n = d_vocab - (n_ctx == 3)
    p = settle("p", given.p, settings.get("C"))
    p = n if p is None else p
    if not isinstance(p, int) or n not in (p, 2 * p):
        raise DataError(
            f"the embedding has {d_vocab} tokens, which p = {short(p)} does not explain (p or 2p, and 1 for '=')"
        )
    if bool(settings.get("diff_vocab", n != p)) != (n != p):
        raise DataError(
            f"the embedding has {d_vocab} tokens, but diff_vocab is {short(settings['diff_vocab'])} with C = {p}"
        )
    return {
        "op": settle("op", given.op, _operation(settings, p)) or "add",
        "p": p,
        "layout": "a b =" if n_ctx == 3 else "a b",
        "shared_vocabulary": n == p,
        "train_frac": settings.get("frac"),
    }


def _operation(settings: Mapping[str, Any], p: int) -> str | None:
    """The operation by its program text, which is compared and never run; all their models learn addition."""
    text = settings.get("funcs")
    if text is None:
        return None
    if not isinstance(text, str) or text.replace(" ", "") != f"lambdax:(x[0]+x[1])%{p}":
        raise DataError(f"its config's funcs is {short(text)}, which is not run; known is addition mod {p}")
    return "add"


# ---- models without attention ----------------------------------------------------------------------


def _linear(models: dict[int, Weights], given: Given) -> Imported:
    """A model of train-linear.py: the sum (D: the concatenation) of two embeddings through one or two hidden layers."""
    first = next(iter(models.values()))
    kind = _linear_kind(first, given.config.get("model_type"))
    snapshots = converted(models, lambda weights: _linear_weights(weights, kind))
    ours = next(iter(snapshots.values()))
    p = take(first, "unembed.weight", 2).shape[0]
    if settle("p", given.p, given.config.get("C")) not in (None, p):
        raise DataError(f"unembed.weight has {p} rows, so p = {p}, not the p that is given")
    task = {
        "op": settle("op", given.op, _operation(given.config, p)) or "add",
        "p": p,
        "layout": "a b",
        "shared_vocabulary": kind != "X",
        "train_frac": given.config.get("frac"),
    }
    return _imported(given, task, mlp_fields(ours, 2 if kind in "BC" else 1, "relu", "mlp", "answers"), snapshots)


def _linear_kind(weights: Weights, model_type: Any) -> str:
    """The letter of the linear model; B and C have the same tensors, so the JSON file must tell them apart."""
    if model_type is not None and model_type not in LINEAR:
        raise DataError(f"its config has model_type {short(model_type)}; known are {', '.join(LINEAR)}")
    if "embed1.weight" in weights:
        fits = "X"
    elif "l2.weight" in weights:
        fits = "BC"
    else:
        d_in, d_embed = take(weights, "l1.weight", 2).shape[1], take(weights, "embed.weight", 2).shape[1]
        fits = "D" if d_in == 2 * d_embed else "A"
    if model_type is None and len(fits) > 1:
        raise UsageError("the weights do not tell models B and C apart: give --config FILE.json with model_type")
    if model_type is not None and model_type not in fits:
        raise DataError(f"its config has model_type {short(model_type)}, but the tensors are those of {fits}")
    return fits if model_type is None else model_type


def _linear_weights(weights: Weights, kind: str) -> Weights:
    """Tensors under our names: a sum of embeddings is W_in = [W; W], and model C adds its bias once per operand."""
    embeds = ["embed1.weight", "embed2.weight"] if kind == "X" else ["embed.weight"]
    layers = ["l1", "l2"] if kind in "BC" else ["l1"]
    refuse_rest(weights, {*embeds, "unembed.weight", *(f"{x}.{y}" for x in layers for y in ("weight", "bias"))})
    parts = [take(weights, name, 2) for name in embeds]
    if len({part.shape for part in parts}) > 1:
        raise DataError(f"embed1.weight and embed2.weight have shapes {[tuple(part.shape) for part in parts]}")
    W, b = take(weights, "l1.weight", 2).T, take(weights, "l1.bias", 1)
    W_U = take(weights, "unembed.weight", 2).T
    ours = {
        "embed.W_E": torch.cat(parts),
        "blocks.0.mlp.W_in": W if kind == "D" else torch.cat([W, W]),
        "blocks.0.mlp.b_in": 2 * b if kind == "C" else b,
        "unembed.W_U": W_U,
        "unembed.b_U": torch.zeros(W_U.shape[1]),
    }
    if "l2" in layers:
        ours |= {"blocks.1.mlp.W_in": take(weights, "l2.weight", 2).T, "blocks.1.mlp.b_in": take(weights, "l2.bias", 1)}
    return {name: tensor.contiguous() for name, tensor in ours.items()}


def _linearformer(models: dict[int, Weights], given: Given) -> Imported:
    """The model of train-main.py without attention: concatenated embeddings, padded with 0, through hidden layers."""
    first = next(iter(models.values()))
    (d_embed, d_vocab), n_layers = take(first, "embed.W_E", 2).shape, n_blocks(first)
    d_in = take(first, "blocks.0.W_in", 2).shape[1]
    if given.config.get("eqn_sign") or d_in // 2 != d_embed:
        raise DataError("it is a Linearformer that also reads '='; an MLP here reads a and b alone")
    task = _task(given, d_vocab, 2)
    snapshots = converted(models, lambda weights: _linearformer_weights(weights, n_layers, 2 * d_embed))
    ours = next(iter(snapshots.values()))
    what = outputs(ours["unembed.W_U"].shape[1], task["p"], d_vocab)
    act_fn = activation(given.config.get("act_fn", "ReLU"))
    return _imported(given, task, mlp_fields(ours, n_layers, act_fn, "mlp", what), snapshots)


def _linearformer_weights(weights: Weights, n_layers: int, width: int) -> Weights:
    W_U = take(weights, "unembed.W_U", 2)
    ours = {"embed.W_E": take(weights, "embed.W_E", 2).T, "unembed.W_U": W_U, "unembed.b_U": torch.zeros(W_U.shape[1])}
    for i in range(n_layers):
        W = take(weights, f"blocks.{i}.W_in", 2).T
        if W.shape != (len(W_U), len(W_U)):
            raise DataError(f"blocks.{i}.W_in has shape {tuple(W.T.shape)}; {(len(W_U), len(W_U))} fits unembed.W_U")
        ours[f"blocks.{i}.mlp.W_in"] = W[:width] if i == 0 else W
        ours[f"blocks.{i}.mlp.b_in"] = take(weights, f"blocks.{i}.b_in", 1)
    kept = {f"blocks.{i}.{x}" for i in range(n_layers) for x in ("W_in", "b_in")}
    refuse_rest(weights, {"embed.W_E", "unembed.W_U", *kept})
    return {name: tensor.contiguous() for name, tensor in ours.items()}
