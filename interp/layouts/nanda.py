"""Nanda et al.'s layout (progress-measures-paper), which pizza's transformers share: shapes written output first.

W_E [d_model, d_vocab]; W_Q, W_K, W_V [n_heads, d_head, d_model]; W_O [d_model, n_heads * d_head], heads one after
another; W_in [d_mlp, d_model]; W_out [d_model, d_mlp]; W_U [d_model, d_vocab]; biases in the MLP alone.
"""

from typing import Any

from torch import Tensor

from train.errors import DataError

from .common import Given, Imported, Weights, add_split, convert, count_blocks, need, refuse_rest, snapshots_of


def read(raw: Any, given: Given) -> Imported:
    """Rows are a, b, "="; d_vocab is the number of elements and "="; the token "=" may have a logit or not.

    Raises:
        DataError: the file is not of this layout.
    """
    snapshots = snapshots_of(raw, given)
    first = next(iter(snapshots.values()))
    d_vocab = need(first, "embed.W_E", 2).shape[1]
    made = convert(snapshots, transformer)
    task = {**given.task(p=d_vocab - 1), "layout": "a b ="}
    model = {**sizes(next(iter(made.values()))), "attention": "causal", "biases": "mlp"}
    model["outputs"] = "tokens" if need(first, "unembed.W_U", 2).shape[1] == d_vocab else "answers"
    is_train = add_split(task, given)
    return Imported({"task": task, "model": model}, made, is_train, given.notes())


def transformer(weights: Weights) -> dict[str, Tensor]:
    """In our names and shapes."""
    made = {
        "embed.W_E": need(weights, "embed.W_E", 2).T,
        "pos_embed.W_pos": need(weights, "pos_embed.W_pos", 2),
        "unembed.W_U": need(weights, "unembed.W_U", 2),
    }
    used = set(made)
    for i in range(count_blocks(weights)):
        attn, mlp = f"blocks.{i}.attn", f"blocks.{i}.mlp"
        for letter in "QKV":
            made[f"{attn}.W_{letter}"] = need(weights, f"{attn}.W_{letter}", 3).transpose(1, 2)
        n_heads, d_model, d_head = made[f"{attn}.W_Q"].shape
        W_O = need(weights, f"{attn}.W_O", 2)
        if W_O.shape != (d_model, n_heads * d_head):
            raise DataError(f"{attn}.W_O has shape {tuple(W_O.shape)}; ({d_model}, {n_heads * d_head}) was expected")
        made[f"{attn}.W_O"] = W_O.T.unflatten(0, (n_heads, d_head))
        made |= {f"{mlp}.W_in": need(weights, f"{mlp}.W_in", 2).T, f"{mlp}.W_out": need(weights, f"{mlp}.W_out", 2).T}
        made |= {f"{mlp}.{bias}": need(weights, f"{mlp}.{bias}", 1) for bias in ("b_in", "b_out")}
    refuse_rest(weights, used | set(made))
    return made


def sizes(ours: Weights) -> dict[str, Any]:
    """The fields of ModelConfig that shapes tell, of weights in our names."""
    n_heads, d_model, d_head = need(ours, "blocks.0.attn.W_Q", 3).shape
    return {
        "arch": "transformer",
        "n_layers": count_blocks(ours),
        "d_model": d_model,
        "n_heads": n_heads,
        "d_head": d_head,
        "d_mlp": need(ours, "blocks.0.mlp.W_in", 2).shape[1],
        "act_fn": "relu",
        "norm": "none",
        "positions": "learned",
    }
