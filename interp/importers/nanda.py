"""Nanda et al. 2023 (2301.05217): state dicts of their own transformer, one or many.

The axes of the heads' matrices are those of TransformerLens transposed, embeddings are columns, and W_O acts on the
concatenated heads. There are no attention biases.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError, UsageError

from .common import Given, Imported, make_config, n_blocks, refuse_rest, settle, split_heads, split_of, take, unknown_of
from .names import short
from .unwrapping import Weights, converted, state_dicts

FUNCTIONS = {"add": "add", "subtract": "sub", "x2xyy2": "x2_xy_y2"}
"""Our names of operations by theirs."""
ACTIVATIONS = {name: name for name in ("relu", "gelu", "gelu_new", "silu", "tanh", "square")}


def read(raw: Any, given: Given) -> Imported:
    """Read the model; a JSON file may hold p, fn_name, frac_train, seed and act_type of their config."""
    models = state_dicts(raw, given.step)
    first = next(iter(models.values()))
    theirs = given.config
    model, n_ctx, d_vocab = sizes(first)
    if n_ctx != 3:
        raise DataError(f"pos_embed.W_pos has {n_ctx} positions; a row of this layout is a, b and '='")
    p = d_vocab - 1
    if settle("p", given.p, theirs.get("p")) not in (None, p):
        raise DataError(f"embed.W_E has {d_vocab} tokens; with '=' that makes p = {p}, not the p that is given")
    if given.group is not None:
        raise UsageError("this layout has operations on residues alone: give --p, not --group")
    d_vocab_out = take(first, "unembed.W_U", 2).shape[1]
    task = {
        "op": settle("op", given.op, _operation(theirs)),
        "p": p,
        "layout": "a b =",
        "train_frac": theirs.get("frac_train"),
        "split": "python" if "seed" in theirs and "frac_train" in theirs else None,
        "split_seed": theirs.get("seed"),
    }
    model |= {"act_fn": activation(theirs.get("act_type", "ReLU")), "outputs": outputs(d_vocab_out, p, d_vocab)}
    config = make_config(given, task, model, theirs.get("seed"))
    return Imported(config, converted(models, convert), split_of(config), unknown_of(config))


def _operation(theirs: Mapping[str, Any]) -> str | None:
    name = theirs.get("fn_name")
    if name is not None and name not in list(FUNCTIONS):
        raise DataError(f"its config has fn_name {short(name)}; known are {', '.join(FUNCTIONS)}")
    return None if name is None else FUNCTIONS[name]


def activation(name: Any) -> str:
    """Our name of an activation function; case is ignored.

    Raises:
        DataError: models here do not have the function.
    """
    ours = ACTIVATIONS.get(name.lower()) if isinstance(name, str) else None
    if ours is None:
        raise DataError(f"its activation function is {short(name)}; models here have {', '.join(ACTIVATIONS)}")
    return ours


def outputs(d_vocab_out: int, n: int, d_vocab: int) -> str:
    """``ModelConfig.outputs`` by the number of logits."""
    if d_vocab_out not in (n, d_vocab):
        raise DataError(
            f"unembed.W_U has {d_vocab_out} logits; it must have {n} (the answers) or {d_vocab} (the tokens)"
        )
    return "tokens" if d_vocab_out == d_vocab else "answers"


def sizes(weights: Mapping[str, Tensor]) -> tuple[dict[str, Any], int, int]:
    """Fields of our model config, n_ctx and d_vocab, from the shapes."""
    d_model, d_vocab = take(weights, "embed.W_E", 2).shape
    n_heads, d_head, _ = take(weights, "blocks.0.attn.W_Q", 3).shape
    model = {
        "arch": "transformer",
        "n_layers": n_blocks(weights),
        "d_model": d_model,
        "n_heads": n_heads,
        "d_head": d_head,
        "attn_only": False,
        "d_mlp": take(weights, "blocks.0.mlp.W_in", 2).shape[0],
        "norm": "none",
        "positions": "learned",
        "attention": "causal",
        "attn_rate": 1.0,
        "biases": "mlp",
    }
    return model, take(weights, "pos_embed.W_pos", 2).shape[0], d_vocab


def convert(weights: Mapping[str, Tensor]) -> Weights:
    """Their tensors under our names and in our shapes; biases that they do not have are zero.

    Raises:
        DataError: a tensor is missing, unknown, or has another number of axes.
    """
    ours = {
        "embed.W_E": take(weights, "embed.W_E", 2).T,
        "pos_embed.W_pos": take(weights, "pos_embed.W_pos", 2),
        "unembed.W_U": take(weights, "unembed.W_U", 2),
    }
    used = set(ours)
    for i in range(n_blocks(weights)):
        block = _block(weights, f"blocks.{i}.")
        used |= {name for name in block if ".b_" not in name or ".mlp." in name}
        ours |= block
    refuse_rest(weights, used)
    ours["unembed.b_U"] = torch.zeros(ours["unembed.W_U"].shape[1])
    return {name: tensor.contiguous() for name, tensor in ours.items()}


def _block(weights: Mapping[str, Tensor], at: str) -> Weights:
    attn, mlp = f"{at}attn.", f"{at}mlp."
    heads = {f"{attn}W_{x}": take(weights, f"{attn}W_{x}", 3).transpose(1, 2) for x in "QKV"}
    n_heads, d_model, d_head = heads[f"{attn}W_Q"].shape
    zeros = {f"{attn}b_{x}": torch.zeros(n_heads, d_head) for x in "QKV"} | {f"{attn}b_O": torch.zeros(d_model)}
    return {
        **heads,
        **zeros,
        f"{attn}W_O": split_heads(take(weights, f"{attn}W_O", 2), n_heads, f"{attn}W_O"),
        f"{mlp}W_in": take(weights, f"{mlp}W_in", 2).T,
        f"{mlp}b_in": take(weights, f"{mlp}b_in", 1),
        f"{mlp}W_out": take(weights, f"{mlp}W_out", 2).T,
        f"{mlp}b_out": take(weights, f"{mlp}b_out", 1),
    }
