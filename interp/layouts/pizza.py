"""Zhong et al.'s models (pizza): transformers with an attention rate, and linear models on embeddings.

Transformers have Nanda's shapes, see both operands in both directions whatever their config calls it ("casual"), and
attention ``attn_coeff * softmax + (1 - attn_coeff)``. The modulus is the config's C; the function that it holds as
text is not looked at. Splits were drawn without a recorded seed: unknown unless flags tell them.
"""

from typing import Any

import torch
from torch import Tensor

from train.errors import DataError, UsageError

from .common import Given, Imported, Weights, add_split, convert, count_blocks, need, refuse_rest, snapshots_of
from .nanda import sizes, transformer

ACTIVATIONS = {"ReLU": "relu", "relu": "relu", "GeLU": "gelu", "gelu": "gelu"}


def read(raw: Any, given: Given) -> Imported:
    """A transformer, one of the linear models A, B, C, D, X, or the linear model of the transformers' script.

    Raises:
        UsageError: the config does not say what is needed, or asks for what we do not have.
        DataError: the file is not of this layout.
    """
    epoch = given.config.get("epoch")
    snapshots = snapshots_of(raw, given, step=epoch if isinstance(epoch, int) else None)
    first = next(iter(snapshots.values()))
    if "unembed.weight" in first:
        return _linear(snapshots, given)
    if "blocks.0.W_in" in first:
        return _linearformer(snapshots, given)
    marks = int(bool(given.config.get("eqn_sign", need(first, "pos_embed.W_pos", 2).shape[0] == 3)))
    d_vocab = need(first, "embed.W_E", 2).shape[1] - marks
    p, is_shared = _modulus(given, d_vocab)
    task = {**given.task(p=p), "layout": "a b =" if marks else "a b", "shared_vocabulary": is_shared}
    made = convert(snapshots, transformer)
    model = {**sizes(next(iter(made.values()))), "attention": "bidirectional", "biases": "mlp", "outputs": "tokens"}
    if "attn_coeff" not in given.config:
        raise UsageError("the attention rate is not in the weights: give --config with the run's JSON (attn_coeff)")
    model |= {"attn_rate": float(given.config["attn_coeff"]), "act_fn": _activation(given)}
    return Imported({"task": task, "model": model}, made, add_split(task, given), _notes())


def _notes() -> tuple[str, ...]:
    return ("Zhong et al.'s models add modulo C.",)


def _modulus(given: Given, d_vocab: int) -> tuple[int, bool]:
    """Modulus, and whether both operands have the same tokens."""
    p = given.p or given.config.get("C")
    if p is None:
        raise UsageError("the modulus is not in the weights: give --p, or --config with the run's JSON (C)")
    if d_vocab not in (p, 2 * p):
        raise DataError(f"the embedding has {d_vocab} tokens of operands; {p} or {2 * p} were expected for C = {p}")
    return int(p), d_vocab == p


def _activation(given: Given) -> str:
    name = given.config.get("act_fn", "relu")
    if name not in ACTIVATIONS:
        raise UsageError(f"act_fn = {name!r} cannot be imported; allowed are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _mlp(task: dict[str, Any], made: dict[int, dict[str, Tensor]], given: Given, outputs: str, act: str) -> Imported:
    ours = next(iter(made.values()))
    model = {
        "arch": "mlp",
        "n_layers": count_blocks(ours),
        "d_model": ours["embed.W_E"].shape[1],
        "d_mlp": ours["unembed.W_U"].shape[0],
        "act_fn": act,
        "biases": "mlp",
        "outputs": outputs,
    }
    task = {**task, "layout": "a b"}
    return Imported({"task": task, "model": model}, made, add_split(task, given), _notes())


# ---- linear models A, B, C, D, X -------------------------------------------------------------------


def _linear(snapshots: dict[int, Weights], given: Given) -> Imported:
    """A, B: the embeddings' sum; C: the sum of what l1 makes of each; D: side by side; X: one embedding each."""
    first = next(iter(snapshots.values()))
    kind = given.config.get("model_type")
    if kind is None and "l2.weight" in first:
        raise UsageError("models B and C have the same tensors: give --config with the run's JSON (model_type)")
    p = need(first, "unembed.weight", 2).shape[0]
    made = convert(snapshots, lambda weights: _linear_weights(weights, is_c=kind == "C"))
    task = {**given.task(p=p), "shared_vocabulary": "embed1.weight" not in first}
    return _mlp(task, made, given, "answers", "relu")


def _linear_weights(weights: Weights, is_c: bool) -> dict[str, Tensor]:
    names = ["embed1.weight", "embed2.weight"] if "embed1.weight" in weights else ["embed.weight"]
    W_E = torch.cat([need(weights, name, 2) for name in names])
    W_in, b_in = need(weights, "l1.weight", 2).T, need(weights, "l1.bias", 1)
    if W_in.shape[0] == W_E.shape[1]:  # a sum of embeddings: both operands go through the same matrix
        W_in = torch.cat([W_in, W_in])
    elif W_in.shape[0] != 2 * W_E.shape[1]:
        raise DataError(f"l1.weight has shape {tuple(weights['l1.weight'].shape)}; embeddings are {W_E.shape[1]} wide")
    made = {
        "embed.W_E": W_E,
        "blocks.0.mlp.W_in": W_in,
        "blocks.0.mlp.b_in": 2 * b_in if is_c else b_in,
        "unembed.W_U": need(weights, "unembed.weight", 2).T,
    }
    used = [*names, "l1.weight", "l1.bias", "unembed.weight"]
    if "l2.weight" in weights:
        made |= {"blocks.1.mlp.W_in": need(weights, "l2.weight", 2).T, "blocks.1.mlp.b_in": need(weights, "l2.bias", 1)}
        used += ["l2.weight", "l2.bias"]
    refuse_rest(weights, used)
    return made


# ---- the transformers' script with use_linear ------------------------------------------------------


def _linearformer(snapshots: dict[int, Weights], given: Given) -> Imported:
    """Embeddings side by side, padded with zeros to d_model, through square layers."""
    first = next(iter(snapshots.values()))
    if given.config.get("eqn_sign"):
        raise UsageError("a linear model with an '=' sign reads three tokens: it cannot be imported")
    p, is_shared = _modulus(given, need(first, "embed.W_E", 2).shape[1])
    made = convert(snapshots, _linearformer_weights)
    return _mlp({**given.task(p=p), "shared_vocabulary": is_shared}, made, given, "tokens", _activation(given))


def _linearformer_weights(weights: Weights) -> dict[str, Tensor]:
    W_E = need(weights, "embed.W_E", 2).T
    made = {"embed.W_E": W_E, "unembed.W_U": need(weights, "unembed.W_U", 2)}
    used = list(made)
    for i in range(count_blocks(weights)):
        W_in = need(weights, f"blocks.{i}.W_in", 2).T
        made[f"blocks.{i}.mlp.W_in"] = W_in[: 2 * W_E.shape[1]] if i == 0 else W_in  # the rest reads the padding
        made[f"blocks.{i}.mlp.b_in"] = need(weights, f"blocks.{i}.b_in", 1)
        used += [f"blocks.{i}.W_in", f"blocks.{i}.b_in"]
    refuse_rest(weights, used)
    return made
