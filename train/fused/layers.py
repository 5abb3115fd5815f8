"""Transformers of any depth, with or without layer norms: forward and backward written out, in numpy.

What a layer computes at a position depends, under a causal mask, on the tokens up to it alone. So it is
computed once for each distinct prefix among the rows (a node), not for every row and position: the first
operand's column has as many nodes as there are elements. The first layer's queries, keys and values are
computed once for each (position, token) pair; the last layer asks from the answers only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32
from torch import Tensor

from ..plan import Plan
from . import kernels
from . import layer_kernels as loops
from .arrays import Array, buffer, quiet


@dataclass(frozen=True)
class Nodes:
    """Rows of a task as nodes: the distinct prefixes among them (all positions of all rows where all see all)."""

    entries: Int32[Array, " nodes"]
    """The (position, token) pair at the end of each."""
    keys: Int32[Array, "nodes n_ctx"]
    """Nodes that each attends to; -1 for none, at the end."""
    answers: Int32[Array, " answers"]
    """The node of each answer of each row."""
    label: Int32[Array, " answers"]


class NodeMaker:
    """Makes nodes of rows."""

    def __init__(self, plan: Plan, is_causal: bool) -> None:
        self.index = plan.index.cpu().numpy().astype(np.int64)
        self.positions, self.is_causal = list(plan.answer_positions), is_causal
        ids = self.index[:, 0]
        columns = [np.unique(ids, return_inverse=True)[1]]
        for j in range(1, self.index.shape[1]):
            ids = columns[-1] * (self.index.max() + 1) + self.index[:, j]
            columns.append(np.unique(ids, return_inverse=True)[1])
        self.prefixes = columns
        """Number of each row's prefix up to each position."""
        self.all_differ = [int(column.max()) + 1 == len(column) for column in columns]

    def __call__(self, labels: Tensor, rows: Tensor) -> Nodes:
        """The nodes of the rows numbered ``rows``."""
        chosen, n_ctx = rows.numpy(), self.index.shape[1]
        n, first = len(chosen), 0
        places, members = [], []
        for j in range(n_ctx):
            if self.is_causal and not self.all_differ[j]:
                _, member, place = np.unique(self.prefixes[j][chosen], return_index=True, return_inverse=True)
            else:
                member = place = np.arange(n)
            places.append(place + first)
            members.append(member)
            first += len(member)
        at = np.stack(places, axis=1)
        keys = [at[member] for member in members]
        if self.is_causal:
            for j, own in enumerate(keys):
                own[:, j + 1 :] = -1
        entries = [self.index[chosen[member], j] for j, member in enumerate(members)]
        found = (np.concatenate(entries), np.concatenate(keys), at[:, self.positions].ravel())
        label = labels.numpy()[chosen].ravel()
        return Nodes(*(np.ascontiguousarray(array, np.int32) for array in (*found, label)))


class Layers:
    """One model's step over nodes. ``W`` are its weights by name, read anew at each call."""

    def __init__(self, cfg: Any, plan: Plan, W: Mapping[str, Array]) -> None:
        self.cfg, self.W = cfg, W
        self.tokens = plan.table_tokens.cpu().numpy().astype(np.int32)
        self.positions = plan.table_positions.cpu().numpy().astype(np.int32)

    @quiet
    def logits(self, nodes: Nodes) -> Float32[Array, "answers d_vocab_out"]:
        """Logits at the answers."""
        return self._forward(nodes, [])

    @quiet
    def gradients(self, nodes: Nodes, share: float, G: Mapping[str, Array]) -> float:
        """Loss summed over the answers, times ``share``, in nats; its gradients are written to ``G`` by name."""
        saved: list[Any] = []
        odds = self._forward(nodes, saved)
        shifted, losses = np.empty((1, len(odds)), np.float32), np.empty(1)
        kernels.shift(odds[None], nodes.label[None], shifted)
        np.exp(odds, out=odds)
        kernels.cross_entropy(odds[None], nodes.label[None], shifted, share, losses)
        self._backward(nodes, saved, odds, G)
        return float(losses[0])

    # ---- forward ---------------------------------------------------------------------------------

    def _forward(self, nodes: Nodes, saved: list[Any]) -> Array:
        cfg, W = self.cfg, self.W
        x = W["embed.W_E"][self.tokens] + W["pos_embed.W_pos"][self.positions]
        for layer in range(cfg.n_layers):
            x = self._attention(layer, x, nodes, saved)
            x = self._mlp(layer, x, saved)
        if cfg.normalization_type == "LN":
            x = self._norm("ln_final", x, saved)
        saved.append(x)
        return x @ W["unembed.W_U"] + W["unembed.b_U"]

    def _asks(self, layer: int, nodes: Nodes) -> tuple[Array, Array]:
        """Of each query of a layer: its row of the stream before it, and the rows it attends to."""
        asks = nodes.answers if layer == self.cfg.n_layers - 1 else np.arange(len(nodes.entries), dtype=np.int32)
        keys = nodes.keys[asks]
        if layer > 0:
            return asks, keys
        return nodes.entries[asks], np.where(keys < 0, np.int32(-1), nodes.entries[keys])

    def _attention(self, layer: int, x: Array, nodes: Nodes, saved: list[Any]) -> Array:
        """The stream after attention, a row for each query."""
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        width = cfg.n_heads * cfg.d_head
        h = self._norm(f"{name}.ln1", x, saved) if cfg.normalization_type == "LN" else x
        asks, keys = self._asks(layer, nodes)
        is_few = len(asks) < len(x)  # the last layer asks from the answers only
        weights = [_side_by_side(W[f"{name}.attn.W_{letter}"]) for letter in "QKV"]
        q_in, rows = (h[asks], np.arange(len(asks), dtype=np.int32)) if is_few else (h, asks)
        q, k, v = (
            y @ M + W[f"{name}.attn.b_{letter}"].reshape(width)
            for y, M, letter in zip((q_in, h, h), weights, "QKV", strict=True)
        )
        pattern = np.empty((len(asks), cfg.n_heads, keys.shape[1]), np.float32)
        z = np.empty((len(asks), width), np.float32)
        scale = 1 / cfg.attn_scale
        loops.attend(q, k, v, rows, keys, scale, cfg.attn_rate, pattern, z)
        total = z @ W[f"{name}.attn.W_O"].reshape(width, cfg.d_model)
        total += x[asks]
        total += W[f"{name}.attn.b_O"]
        saved.append((asks, keys, rows, h, q_in, weights, q, k, v, pattern, z))
        return self._norm(f"{name}.ln1", total, saved) if cfg.normalization_type == "LNPost" else total

    def _mlp(self, layer: int, x: Array, saved: list[Any]) -> Array:
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        h = self._norm(f"{name}.ln2", x, saved) if cfg.normalization_type == "LN" else x
        post = buffer(f"post {layer}", len(x), cfg.d_mlp)
        np.matmul(h, W[f"{name}.mlp.W_in"], out=post)
        loops.rectify(post, W[f"{name}.mlp.b_in"])
        total = post @ W[f"{name}.mlp.W_out"]
        total += x
        total += W[f"{name}.mlp.b_out"]
        saved.append((h, post))
        return self._norm(f"{name}.ln2", total, saved) if cfg.normalization_type == "LNPost" else total

    def _norm(self, name: str, x: Array, saved: list[Any]) -> Array:
        unit, y, inverse = np.empty_like(x), np.empty_like(x), np.empty(len(x), np.float32)
        loops.norm(x, self.W[f"{name}.w"], self.W[f"{name}.b"], self.cfg.eps, unit, inverse, y)
        saved.append((unit, inverse))
        return y

    # ---- backward --------------------------------------------------------------------------------

    def _backward(self, nodes: Nodes, saved: list[Any], d_logits: Array, G: Mapping[str, Array]) -> None:
        cfg, W = self.cfg, self.W
        _product(G, "unembed.W_U", saved.pop(), d_logits)
        _put(G, "unembed.b_U", d_logits.sum(axis=0))
        d = d_logits @ W["unembed.W_U"].T
        if cfg.normalization_type == "LN":
            d = self._unnorm("ln_final", d, saved, G)
        for layer in reversed(range(cfg.n_layers)):
            d = self._unmlp(layer, d, saved, G)
            d = self._unattention(layer, d, nodes, saved, G)
        for name, index in (("embed.W_E", self.tokens), ("pos_embed.W_pos", self.positions)):
            if name in G:
                G[name][:] = 0
                loops.scatter(d, index, G[name])

    def _unmlp(self, layer: int, d: Array, saved: list[Any], G: Mapping[str, Array]) -> Array:
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        if cfg.normalization_type == "LNPost":
            d = self._unnorm(f"{name}.ln2", d, saved, G)
        h, post = saved.pop()
        _product(G, f"{name}.mlp.W_out", post, d)
        _put(G, f"{name}.mlp.b_out", d.sum(axis=0))
        d_post, d_bias = buffer("d_post", *post.shape), np.empty(cfg.d_mlp, np.float32)
        np.matmul(d, W[f"{name}.mlp.W_out"].T, out=d_post)
        loops.unrectify(post, d_post, d_bias)
        _put(G, f"{name}.mlp.b_in", d_bias)
        _product(G, f"{name}.mlp.W_in", h, d_post)
        d_h = d_post @ W[f"{name}.mlp.W_in"].T
        if cfg.normalization_type == "LN":
            d_h = self._unnorm(f"{name}.ln2", d_h, saved, G)
        d_h += d
        return d_h

    def _unattention(self, layer: int, d: Array, nodes: Nodes, saved: list[Any], G: Mapping[str, Array]) -> Array:
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        if cfg.normalization_type == "LNPost":
            d = self._unnorm(f"{name}.ln1", d, saved, G)
        asks, keys, rows, h, q_in, weights, q, k, v, pattern, z = saved.pop()
        _put(G, f"{name}.attn.b_O", d.sum(axis=0))
        flat_O = W[f"{name}.attn.W_O"].reshape(z.shape[1], cfg.d_model)
        _put(G, f"{name}.attn.W_O", (z.T @ d).reshape(W[f"{name}.attn.W_O"].shape))
        d_q, d_k, d_v = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        scale = 1 / cfg.attn_scale
        loops.unattend(q, k, v, rows, keys, scale, cfg.attn_rate, pattern, d @ flat_O.T, d_q, d_k, d_v)
        for letter, source, own in zip("QKV", (q_in, h, h), (d_q, d_k, d_v), strict=True):
            shape = W[f"{name}.attn.W_{letter}"].shape
            _put(G, f"{name}.attn.W_{letter}", (source.T @ own).reshape(shape[1], shape[0], shape[2]).swapaxes(0, 1))
            _put(G, f"{name}.attn.b_{letter}", own.sum(axis=0).reshape(shape[0], shape[2]))
        d_h = d_k @ weights[1].T
        d_h += d_v @ weights[2].T
        d_asked = d_q @ weights[0].T
        if len(q_in) == len(h):
            d_h += d_asked
        else:
            loops.scatter(d_asked, asks, d_h)
        if cfg.normalization_type == "LN":
            d_h = self._unnorm(f"{name}.ln1", d_h, saved, G)
        loops.scatter(d, asks, d_h)
        return d_h

    def _unnorm(self, name: str, d_y: Array, saved: list[Any], G: Mapping[str, Array]) -> Array:
        unit, inverse = saved.pop()
        w = self.W[f"{name}.w"]
        d_x, d_w, d_b = np.empty_like(unit), np.empty_like(w), np.empty_like(w)
        loops.unnorm(d_y, w, unit, inverse, d_x, d_w, d_b)
        _put(G, f"{name}.w", d_w)
        _put(G, f"{name}.b", d_b)
        return d_x


def _side_by_side(W: Float32[Array, "n_heads d_model d_head"]) -> Float32[Array, "d_model heads_times_d_head"]:
    """All heads' matrices in one."""
    return W.swapaxes(0, 1).reshape(W.shape[1], -1)


def _put(G: Mapping[str, Array], name: str, value: Array) -> None:
    """Write a gradient, if its weight is trained."""
    if name in G:
        G[name][...] = value


def _product(G: Mapping[str, Array], name: str, x: Array, d_y: Array) -> None:
    """Gradient of W in y = x @ W."""
    if name in G:
        np.matmul(x.T, d_y, out=G[name])
