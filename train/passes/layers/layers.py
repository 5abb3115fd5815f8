"""Forward and backward of transformers of any depth, with or without layer norms, in numpy and compiled loops.

The first layer's queries, keys and values are computed once for each (position, token) pair, the layers between once
for each node (see ``nodes``), and the last layer's queries at the answers only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from train.passes import kernels
from train.passes.arrays import Array, buffer, quiet, side_by_side
from train.passes.entries import Plan

from . import blocks
from .nodes import Nodes


class Layers:
    """Forward and backward of one model over nodes. Call ``read`` after the weights ``W`` (by name) have changed."""

    def __init__(self, cfg: Any, plan: Plan, W: Mapping[str, Array]) -> None:
        self.cfg, self.W, self.width = cfg, W, cfg.n_heads * cfg.d_head
        self.tokens = plan.table_tokens.cpu().numpy().astype(np.int32)
        self.positions = plan.table_positions.cpu().numpy().astype(np.int32)
        norm = blocks.NORMS[cfg.normalization_type]
        factors = (1.0 / float(cfg.attn_scale), float(cfg.attn_rate), float(cfg.eps))
        self.sizes = blocks.Sizes._make([cfg.n_heads, cfg.d_mlp, norm, *factors])
        self.rest = [self._rest(layer, W) for layer in range(cfg.n_layers)]
        self.read()

    def read(self) -> None:
        """Copy the current weights into the layout of the compiled layers."""
        self.qkv = [self._qkv(layer) for layer in range(self.cfg.n_layers)]

    @quiet
    def logits(self, nodes: Nodes) -> Float32[Array, "answers d_vocab_out"]:
        """Logits at the answers."""
        return self._forward(nodes)[-1].copy()

    @quiet
    def gradients(self, nodes: Nodes, share: float, G: Mapping[str, Array]) -> float:
        """Loss in nats, summed over the answers, times ``share``; writes the gradients to ``G``, by name."""
        streams, memories, end, logits = self._forward(nodes)
        d, G = buffer("d", *streams[-1].shape), _complete(G, self.W)
        w, _ = self._norm("ln_final", self.W)
        loss = kernels.loss_of(logits, nodes.label, buffer("shifted", len(logits)), share)
        into = (d, *self._norm("ln_final", G), G["unembed.W_U"], G["unembed.b_U"])
        blocks.unembed(*[logits, streams[-1], self.sizes.norm == 1, w, self.W["unembed.W_U"], *end, *into])
        for layer in reversed(range(self.cfg.n_layers)):
            x = streams[layer]
            # two buffers in turn: ``d`` is a view of the previous layer's
            spare = buffer(f"spare {layer % 2}", blocks.spare_size(len(x), len(d), x.shape[1], self.width, self.sizes))
            inputs = (d, x, *nodes.queries[layer], self.qkv[layer], self.rest[layer], self.sizes, memories[layer])
            d = blocks.backward(*[*inputs, self._qkv_gradients(layer, G), self._rest(layer, G), spare])
        pairs = (self.tokens[nodes.pairs], self.positions[nodes.pairs])
        blocks.add_to_embedding(d, *pairs, G["embed.W_E"], G["pos_embed.W_pos"])
        return loss

    def _forward(self, nodes: Nodes) -> tuple[list[Array], list[Array], tuple[Array, ...], Array]:
        """The residual streams between layers, the layers' saved memory, the final norm's arrays, and the logits."""
        x = buffer("x", len(nodes.pairs), self.cfg.d_model)
        pairs = (self.tokens[nodes.pairs], self.positions[nodes.pairs])
        blocks.embed(self.W["embed.W_E"], self.W["pos_embed.W_pos"], *pairs, x)
        streams, memories = [x], []
        for layer, queries in enumerate(nodes.queries):
            n_out, n_keys = queries.keys.shape
            size = blocks.memory_size(len(x), n_out, n_keys, x.shape[1], self.width, self.sizes)
            memories.append(buffer(f"layer {layer}", size))
            x = blocks.forward(x, *queries, self.qkv[layer], self.rest[layer], self.sizes, memories[-1])
            streams.append(x)
        end = (buffer("unit", *x.shape), buffer("inverse", len(x)), buffer("normed", *x.shape))
        logits = buffer("logits", len(x), self.cfg.d_vocab_out)
        last = [self.sizes.norm == 1, *self._norm("ln_final", self.W), self.sizes.eps]
        blocks.logits_of(*[x, *last, self.W["unembed.W_U"], self.W["unembed.b_U"], *end, logits])
        return streams, memories, end, logits

    # ---- tensors of a layer ----------------------------------------------------------------------

    def _qkv(self, layer: int) -> blocks.QKV:
        W_Q, W_K, W_V, b_Q, b_K, b_V = self._attention(layer, self.W)
        W_kv, b_kv = np.concatenate([W_K, W_V]), np.concatenate([b_K, b_V])
        return blocks.QKV(side_by_side(W_Q), b_Q.ravel(), side_by_side(W_kv), b_kv.ravel())

    def _qkv_gradients(self, layer: int, G: Mapping[str, Array]) -> blocks.QKVGradients:
        W_Q, W_K, W_V, *biases = self._attention(layer, G)
        return blocks.QKVGradients(W_Q, W_K, W_V, *(b.reshape(-1) for b in biases))

    @staticmethod
    def _attention(layer: int, tensors: Mapping[str, Array]) -> list[Array]:
        return [tensors[f"blocks.{layer}.attn.{kind}_{letter}"] for kind in "Wb" for letter in "QKV"]

    def _rest(self, layer: int, tensors: Mapping[str, Array]) -> blocks.Rest:
        name = f"blocks.{layer}"
        W_O = tensors[f"{name}.attn.W_O"].reshape(self.width, self.cfg.d_model)
        mlp = [tensors[f"{name}.mlp.{part}"] for part in ("W_in", "b_in", "W_out", "b_out")]
        norms = [*self._norm(f"{name}.ln1", tensors), *self._norm(f"{name}.ln2", tensors)]
        return blocks.Rest._make([W_O, tensors[f"{name}.attn.b_O"], *mlp, *norms])

    @staticmethod
    def _norm(name: str, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        none = np.empty(0, np.float32)
        return tensors.get(f"{name}.w", none), tensors.get(f"{name}.b", none)


def _complete(G: Mapping[str, Array], W: Mapping[str, Array]) -> Mapping[str, Array]:
    """Gradients by name, with empty arrays for tensors that are not trained."""
    return {name: G[name] if name in G else np.empty((0,) * w.ndim, np.float32) for name, w in W.items()}
