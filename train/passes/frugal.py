"""The training forward: computes only what the loss reads, with the plain model's logits and gradients.

The loss reads only the answer positions, which saves work in two ways: (a) layer 0's queries, keys and values are
computed once per distinct (position, token) pair, not once per row, and its attention scores once per pair of pairs;
(b) the last layer computes queries, MLP and unembedding at the answer positions only. Layer norms act on each position
separately, so they do not interfere.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import ANY, Knows
from train.model.components import ACTIVATIONS
from train.model.precision import unrounded

from .dropout import Drop, keep_all
from .entries import Plan

TASKS: Knows = {
    **{f"task.{name}": ANY for name in ("op", "p", "group", "train_frac", "split_seed", "outliers")},
    "task.split": {"stream", "torch", "python"},
    "task.layout": {"a b =", "a op b =", "a b", "a op b", "eos a op b ="},
    "task.shared_vocabulary": {True, False},
}
"""Settings of the task that every pass implements, since a pass reads tokens and labels without their meaning."""
KNOWS: Knows = {
    **TASKS,
    **{f"model.{name}": ANY for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp")},
    "model.arch": {"transformer", "mlp"},
    "model.attn_only": {True, False},
    "model.act_fn": {"relu", "gelu", "gelu_new", "silu", "tanh", "square"},
    "model.norm": {"none", "pre", "post"},
    "model.positions": {"learned", "sinusoidal"},
    "model.attention": {"causal", "bidirectional"},
    "model.attn_rate": ANY,
    "model.biases": {"none", "mlp", "all"},
    "model.outputs": {"answers", "tokens"},
    "model.output_scale": ANY,
}
"""Settings of the model and of the task that the functions of this file implement."""
Params = Mapping[str, Tensor]
Take = Callable[[Tensor, Tensor], Tensor]
"""``take(table [T, width], index [...])``: rows of the table, [..., width]."""
Keep = Callable[[str, Tensor], None]
"""Callback that receives activations by hook name, at the positions that are computed."""


def forget(name: str, activation: Tensor) -> None:
    """Ignore an activation."""


def take_rows(table: Float[Tensor, "T width"], index: Int[Tensor, "*n"]) -> Float[Tensor, "*n width"]:
    """Rows of a table by PyTorch's embedding lookup, whose gradient is a scattered sum."""
    return F.embedding(index, table)


def answer_logits(
    params: Params, cfg: Any, plan: Plan, take: Take = take_rows, keep: Keep = forget, drop: Drop = keep_all
) -> Float[Tensor, "rows n_answers d_vocab_out"]:
    """Logits of a HookedTransformer at the answer positions, computed without a device sync.

    Args:
        params: parameters by name.
        cfg: the model's HookedTransformerConfig.
        plan: the rows.
        take: gathers rows of tables.
        keep: receives each layer's ``mlp.hook_post`` [rows, queries, d_mlp]; in the last layer queries are the answers.
        drop: applied to the outputs of attention and MLP [rows, queries, d_model] in training.
    """
    table = params["embed.W_E"][plan.table_tokens] + params["pos_embed.W_pos"][plan.table_positions]
    answers = list(plan.answer_positions)
    everywhere = list(range(plan.index.shape[1]))
    last = cfg.n_layers - 1
    queries = answers if last == 0 else everywhere
    attention = _table_attention(params, cfg, plan, table, queries, take)
    resid = take(table, _at(plan.index, queries)) + drop("blocks.0.hook_attn_out", attention)
    resid = _finish_block(params, cfg, 0, resid, keep, drop)
    for layer in range(1, cfg.n_layers):
        queries = answers if layer == last else everywhere
        attention = _attention(params, cfg, layer, resid, queries)
        resid = _at(resid, queries) + drop(f"blocks.{layer}.hook_attn_out", attention)
        resid = _finish_block(params, cfg, layer, resid, keep, drop)
    if cfg.normalization_type == "LN":
        resid = _layer_norm(params, cfg, "ln_final", resid)
    return _unembed(params, cfg, resid)


def mlp_logits(
    params: Params, cfg: Any, tokens: Int[Tensor, "rows n_ctx"], take: Take = take_rows, keep: Keep = forget
) -> Float[Tensor, "rows d_vocab_out"]:
    """Logits of a HookedMLP, equal at every position; ``keep`` receives the hidden layers' activations."""
    x = take(params["embed.W_E"], tokens).flatten(1)
    for layer in range(cfg.n_layers):
        pre = x @ params[f"blocks.{layer}.mlp.W_in"] + params[f"blocks.{layer}.mlp.b_in"]
        x = ACTIVATIONS[cfg.act_fn](pre)
        keep(f"blocks.{layer}.mlp.hook_post", x)
    return _unembed(params, cfg, x)


def _finish_block(params: Params, cfg: Any, layer: int, resid: Tensor, keep: Keep, drop: Drop) -> Tensor:
    """The output of a block, given the residual sum after attention."""
    name = f"blocks.{layer}"
    if cfg.normalization_type == "LNPost":
        resid = _layer_norm(params, cfg, f"{name}.ln1", resid)
    if cfg.attn_only:
        return resid
    x = _layer_norm(params, cfg, f"{name}.ln2", resid) if cfg.normalization_type == "LN" else resid
    pre = x @ params[f"{name}.mlp.W_in"] + params[f"{name}.mlp.b_in"]
    post = ACTIVATIONS[cfg.act_fn](pre)
    keep(f"{name}.mlp.hook_post", post)
    resid = resid + drop(f"{name}.hook_mlp_out", post @ params[f"{name}.mlp.W_out"] + params[f"{name}.mlp.b_out"])
    return _layer_norm(params, cfg, f"{name}.ln2", resid) if cfg.normalization_type == "LNPost" else resid


def _unembed(params: Params, cfg: Any, x: Tensor) -> Tensor:
    """Logits, in the weights' precision even under autocast: the loss depends on small differences of logits."""
    W_U = params["unembed.W_U"]
    with unrounded(x.device):
        return cfg.output_scale * (x.to(W_U.dtype) @ W_U + params["unembed.b_U"])


def _at(x: Tensor, positions: list[int]) -> Tensor:
    """x[:, positions], by slices only (indexing would copy the index to the device)."""
    if positions == list(range(x.shape[1])):
        return x
    return torch.cat([x[:, j : j + 1] for j in positions], dim=1)


def _table_attention(params: Params, cfg: Any, plan: Plan, table: Tensor, queries: list[int], take: Take) -> Tensor:
    """Layer 0's attention output [rows, queries, d_model], scores and values taken from tables."""
    x = _layer_norm(params, cfg, "blocks.0.ln1", table) if cfg.normalization_type == "LN" else table
    q = _project(params, "blocks.0.attn", "Q", x[plan.query_entries])
    k, v = (_project(params, "blocks.0.attn", name, x) for name in "KV")
    scores = torch.einsum("qhd,khd->qkh", q, k) * cfg.d_head**-0.5
    flat = plan.query_index[:, :, None] * len(table) + plan.index[:, None, :]
    pattern = _pattern(cfg, take(scores.flatten(0, 1), flat), queries)
    values = take(v.flatten(1), plan.index).unflatten(-1, v.shape[1:])
    return _output(params, "blocks.0.attn", pattern, values)


def _attention(params: Params, cfg: Any, layer: int, resid: Tensor, queries: list[int]) -> Tensor:
    """A later layer's attention output [rows, queries, d_model]."""
    name = f"blocks.{layer}.attn"
    x = _layer_norm(params, cfg, f"blocks.{layer}.ln1", resid) if cfg.normalization_type == "LN" else resid
    q = _project(params, name, "Q", _at(x, queries))
    k, v = (_project(params, name, letter, x) for letter in "KV")
    scores = torch.einsum("rqhd,rkhd->rqkh", q, k) * cfg.d_head**-0.5
    return _output(params, name, _pattern(cfg, scores, queries), v)


def _project(params: Params, name: str, letter: str, x: Tensor) -> Tensor:
    """Queries, keys or values [..., n_heads, d_head], all heads in one product."""
    weight = params[f"{name}.W_{letter}"]
    flat = x @ weight.transpose(0, 1).flatten(1)
    return flat.unflatten(-1, (weight.shape[0], weight.shape[2])) + params[f"{name}.b_{letter}"]


def _pattern(cfg: Any, scores: Tensor, queries: list[int]) -> Tensor:
    """Attention pattern [rows, queries, keys, n_heads] from scores of that shape."""
    allowed = None
    if cfg.attention_dir == "causal":
        n_ctx = scores.shape[2]
        if min(queries) < n_ctx - 1:
            keys = torch.arange(n_ctx, device=scores.device)
            allowed = torch.stack([keys <= query for query in queries])[None, :, :, None]
            scores = scores.masked_fill(~allowed, -torch.inf)
    pattern = scores.softmax(dim=2)
    if cfg.attn_rate == 1:
        return pattern
    rest = 1 - cfg.attn_rate
    constant = torch.full_like(pattern, rest) if allowed is None else rest * allowed.to(pattern)
    return cfg.attn_rate * pattern + constant


def _output(params: Params, name: str, pattern: Tensor, values: Tensor) -> Tensor:
    """Mix values [rows, keys, n_heads, d_head] by the pattern and write to the residual stream."""
    z = (pattern[..., None] * values[:, None]).sum(dim=2)
    return z.flatten(-2) @ params[f"{name}.W_O"].flatten(0, 1) + params[f"{name}.b_O"]


def _layer_norm(params: Params, cfg: Any, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), params[f"{name}.w"], params[f"{name}.b"], cfg.eps)
