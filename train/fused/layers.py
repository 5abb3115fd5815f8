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
    key_entries: Int32[Array, "nodes n_ctx"]
    """The (position, token) pairs of those; -1 for none."""
    answers: Int32[Array, " answers"]
    """The node of each answer of each row."""
    label: Int32[Array, " answers"]

    def asks(self, is_first: bool, is_last: bool) -> tuple[Array, Array]:
        """Of each query of a layer: its row of the stream before the layer, and the rows it attends to."""
        rows, keys = (
            (self.entries, self.key_entries) if is_first else (np.arange(len(self.keys), dtype=np.int32), self.keys)
        )
        return (rows[self.answers], keys[self.answers]) if is_last else (rows, keys)


class NodeMaker:
    """Makes nodes of rows."""

    def __init__(self, plan: Plan, is_causal: bool) -> None:
        self.index = plan.index.cpu().numpy().astype(np.int32)
        self.positions, self.is_causal = list(plan.answer_positions), is_causal
        ids, prefixes = np.zeros(len(self.index), np.int64), []
        for j in range(self.index.shape[1]):
            _, ids = np.unique(ids * (self.index.max() + 1) + self.index[:, j], return_inverse=True)
            prefixes.append(ids.astype(np.int32))
        self.prefixes = np.stack(prefixes)
        counts = self.prefixes.max(axis=1) + 1
        self.shared = np.where((counts < len(self.index)) & is_causal, counts, 0).astype(np.int32)

    def __call__(self, labels: Tensor, rows: Tensor) -> Nodes:
        """The nodes of the rows numbered ``rows``."""
        chosen, n_ctx = rows.numpy(), self.index.shape[1]
        most = len(chosen) * n_ctx
        at, member = np.empty((len(chosen), n_ctx), np.int32), np.empty(most, np.int32)
        keys, key_entries = np.empty((most, n_ctx), np.int32), np.empty((most, n_ctx), np.int32)
        entries = np.empty(most, np.int32)
        count = loops.find_nodes(
            self.prefixes, self.shared, self.index, chosen, self.is_causal, at, member, keys, entries, key_entries
        )
        answers = np.ascontiguousarray(at[:, self.positions]).ravel()
        label = labels.numpy()[chosen].ravel().astype(np.int32)
        return Nodes(entries[:count], keys[:count], key_entries[:count], answers, label)


class Layers:
    """One model's step over nodes. ``W`` are its weights by name; after they change comes ``read``."""

    def __init__(self, cfg: Any, plan: Plan, W: Mapping[str, Array]) -> None:
        self.cfg, self.W = cfg, W
        self.tokens = plan.table_tokens.cpu().numpy().astype(np.int32)
        self.positions = plan.table_positions.cpu().numpy().astype(np.int32)
        width = cfg.n_heads * cfg.d_head
        self.qkv = np.empty((cfg.n_layers, cfg.d_model + 1, 3 * width), np.float32)
        """Each layer's W_Q, W_K and W_V side by side, and below them the biases."""

    def read(self) -> None:
        """Take the present weights."""
        by_head = self.qkv.reshape(*self.qkv.shape[:2], 3, self.cfg.n_heads, self.cfg.d_head)
        for layer in range(self.cfg.n_layers):
            for i, letter in enumerate("QKV"):
                by_head[layer, :-1, i] = self.W[f"blocks.{layer}.attn.W_{letter}"].swapaxes(0, 1)
                by_head[layer, -1, i] = self.W[f"blocks.{layer}.attn.b_{letter}"]

    @quiet
    def logits(self, nodes: Nodes) -> Float32[Array, "answers d_vocab_out"]:
        """Logits at the answers."""
        return self._forward(nodes, [])

    @quiet
    def gradients(self, nodes: Nodes, share: float, G: Mapping[str, Array]) -> float:
        """Loss summed over the answers, times ``share``, in nats; its gradients are written to ``G`` by name."""
        saved: list[Any] = []
        d_logits = self._forward(nodes, saved)  # in whose place their gradient comes
        loss = kernels.loss_of(d_logits, nodes.label, np.empty(len(d_logits), np.float32), share)
        self._backward(saved, d_logits, G)
        return loss

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
        logits = _matmul("logits", x, W["unembed.W_U"])
        logits += W["unembed.b_U"]
        return logits

    def _attention(self, layer: int, x: Array, nodes: Nodes, saved: list[Any]) -> Array:
        """The stream after attention, a row for each query."""
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        width = cfg.n_heads * cfg.d_head
        h = self._norm(f"{name}.ln1", x, saved) if cfg.normalization_type == "LN" else x
        asks, keys = nodes.asks(layer == 0, layer == cfg.n_layers - 1)
        weights, bias = self.qkv[layer, :-1], self.qkv[layer, -1]
        if len(asks) < len(x):  # the last layer asks from the answers only
            q_in, rows = h[asks], np.arange(len(asks), dtype=np.int32)
            q, kv = _matmul(f"q {layer}", q_in, weights[:, :width]), _matmul(f"kv {layer}", h, weights[:, width:])
            q += bias[:width]
            kv += bias[width:]
        else:
            q_in, rows = h, asks
            q = kv = _matmul(f"kv {layer}", h, weights)
            kv += bias
        pattern = buffer(f"pattern {layer}", len(asks), cfg.n_heads, keys.shape[1])
        z = buffer(f"z {layer}", len(asks), width)
        loops.attend(q, kv, rows, keys, 1 / cfg.attn_scale, cfg.attn_rate, pattern, z)
        total = _matmul(f"mid {layer}", z, W[f"{name}.attn.W_O"].reshape(width, cfg.d_model))
        loops.add_rows(total, x, asks, W[f"{name}.attn.b_O"])
        saved.append((asks, keys, rows, h, q_in, q, kv, pattern, z))
        return self._norm(f"{name}.ln1", total, saved) if cfg.normalization_type == "LNPost" else total

    def _mlp(self, layer: int, x: Array, saved: list[Any]) -> Array:
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        h = self._norm(f"{name}.ln2", x, saved) if cfg.normalization_type == "LN" else x
        post = _matmul(f"post {layer}", h, W[f"{name}.mlp.W_in"])
        loops.rectify(post, W[f"{name}.mlp.b_in"])
        total = _matmul(f"out {layer}", post, W[f"{name}.mlp.W_out"])
        loops.add_rows(total, x, np.arange(len(x), dtype=np.int32), W[f"{name}.mlp.b_out"])
        saved.append((h, post))
        return self._norm(f"{name}.ln2", total, saved) if cfg.normalization_type == "LNPost" else total

    def _norm(self, name: str, x: Array, saved: list[Any]) -> Array:
        unit, y, inverse = buffer(f"unit {name}", *x.shape), buffer(f"y {name}", *x.shape), np.empty(len(x), np.float32)
        loops.norm(x, self.W[f"{name}.w"], self.W[f"{name}.b"], self.cfg.eps, unit, inverse, y)
        saved.append((unit, inverse))
        return y

    # ---- backward --------------------------------------------------------------------------------

    def _backward(self, saved: list[Any], d_logits: Array, G: Mapping[str, Array]) -> None:
        cfg, W = self.cfg, self.W
        _product(G, "unembed.W_U", saved.pop(), d_logits)
        _sum(G, "unembed.b_U", d_logits)
        d = _matmul("d_out", d_logits, W["unembed.W_U"].T)
        if cfg.normalization_type == "LN":
            d = self._unnorm("ln_final", d, saved, G)
        for layer in reversed(range(cfg.n_layers)):
            d = self._unmlp(layer, d, saved, G)
            d = self._unattention(layer, d, saved, G)
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
        _sum(G, f"{name}.mlp.b_out", d)
        d_post, d_bias = _matmul("d_post", d, W[f"{name}.mlp.W_out"].T), np.empty(cfg.d_mlp, np.float32)
        loops.unrectify(post, d_post, d_bias)
        if f"{name}.mlp.b_in" in G:
            G[f"{name}.mlp.b_in"][:] = d_bias
        _product(G, f"{name}.mlp.W_in", h, d_post)
        d_h = _matmul("d_mid", d_post, W[f"{name}.mlp.W_in"].T)
        if cfg.normalization_type == "LN":
            d_h = self._unnorm(f"{name}.ln2", d_h, saved, G)
        d_h += d
        return d_h

    def _unattention(self, layer: int, d: Array, saved: list[Any], G: Mapping[str, Array]) -> Array:
        cfg, W, name = self.cfg, self.W, f"blocks.{layer}"
        if cfg.normalization_type == "LNPost":
            d = self._unnorm(f"{name}.ln1", d, saved, G)
        asks, keys, rows, h, q_in, q, kv, pattern, z = saved.pop()
        width, weights = z.shape[1], self.qkv[layer, :-1]
        _sum(G, f"{name}.attn.b_O", d)
        flat_O = W[f"{name}.attn.W_O"].reshape(width, cfg.d_model)
        G[f"{name}.attn.W_O"][:] = (z.T @ d).reshape(W[f"{name}.attn.W_O"].shape)
        d_z, d_kv = _matmul("d_z", d, flat_O.T), buffer("d_kv", *kv.shape)
        d_kv[:] = 0
        d_q = d_kv
        if q is not kv:
            d_q = buffer("d_q", *q.shape)
            d_q[:] = 0
        loops.unattend(q, kv, rows, keys, 1 / cfg.attn_scale, cfg.attn_rate, pattern, d_z, d_q, d_kv)
        if q is kv:
            d_weights, d_h = h.T @ d_kv, _matmul("d_in", d_kv, weights.T)
        else:
            d_weights = np.concatenate([q_in.T @ d_q, h.T @ d_kv], axis=1)
            d_h = _matmul("d_in", d_kv, weights[:, width:].T)
            loops.scatter(_matmul("d_asked", d_q, weights[:, :width].T), asks, d_h)
        first_k = kv.shape[1] - 2 * width
        parts = (d_q[:, :width], d_kv[:, first_k : first_k + width], d_kv[:, first_k + width :])
        for i, (letter, own) in enumerate(zip("QKV", parts, strict=True)):
            shape = W[f"{name}.attn.W_{letter}"].shape
            d_W = d_weights[:, i * width : (i + 1) * width].reshape(shape[1], shape[0], shape[2])
            G[f"{name}.attn.W_{letter}"][:] = d_W.swapaxes(0, 1)
            _sum(G, f"{name}.attn.b_{letter}", own)
        if cfg.normalization_type == "LN":
            d_h = self._unnorm(f"{name}.ln1", d_h, saved, G)
        loops.scatter(d, asks, d_h)
        return d_h

    def _unnorm(self, name: str, d_y: Array, saved: list[Any], G: Mapping[str, Array]) -> Array:
        unit, inverse = saved.pop()
        d_x = buffer(f"d_x {name}", *unit.shape)
        loops.unnorm(d_y, self.W[f"{name}.w"], unit, inverse, d_x, G[f"{name}.w"], G[f"{name}.b"])
        return d_x


def _matmul(name: str, a: Array, b: Array) -> Array:
    """a @ b, in memory kept under ``name``."""
    out = buffer(name, len(a), b.shape[1])
    np.matmul(a, b, out=out)
    return out


def _product(G: Mapping[str, Array], name: str, x: Array, d_y: Array) -> None:
    """Gradient of W in y = x @ W."""
    np.matmul(x.T, d_y, out=G[name])


def _sum(G: Mapping[str, Array], name: str, d_y: Array) -> None:
    """Gradient of a bias, if it is trained."""
    if name in G:
        np.sum(d_y, axis=0, out=G[name].reshape(-1))
