"""Transformers of any depth, with or without layer norms: forward and backward written out, in numpy.

What a layer computes at a position depends, under a causal mask, on the tokens up to it alone. So it is
computed once for each distinct prefix among the rows (a node), not for every row and position: the first
operand's column has as many nodes as there are elements. The first layer's queries, keys and values are
computed once for each (position, token) pair; the last layer asks from the answers only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32
from torch import Tensor

from ..plan import Plan
from . import blocks
from . import layer_kernels as loops
from .arrays import Array, buffer, quiet
from .bfloat16 import with_products


class Queries(NamedTuple):
    """Who attends to what in a layer."""

    asks: Int32[Array, " n_out"]
    """Row of the stream before the layer that each query stands at."""
    rows: Int32[Array, " n_out"]
    """Row of the queries computed that each is: of those of the whole stream, if that is shorter, else its own."""
    keys: Int32[Array, "n_out n_ctx"]
    """Rows of the stream that each attends to; -1 for none, at the end."""


@dataclass(frozen=True)
class Nodes:
    """Rows of a task as nodes: the distinct prefixes among them (all positions of all rows where all see all)."""

    pairs: Int32[Array, " pairs"]
    """The (position, token) pairs that occur."""
    entries: Int32[Array, " nodes"]
    """Which of these is at the end of each."""
    keys: Int32[Array, "nodes n_ctx"]
    """Nodes that each attends to; -1 for none, at the end."""
    answers: Int32[Array, " answers"]
    """The node of each answer of each row."""
    label: Int32[Array, " answers"]
    queries: list[Queries]
    """Of each layer; the stream before the first has a row for each (position, token) pair, then for each node."""


class NodeMaker:
    """Makes nodes of rows."""

    def __init__(self, plan: Plan, is_causal: bool, n_layers: int) -> None:
        self.index = plan.index.cpu().numpy().astype(np.int32)
        self.n_pairs, self.n_layers = len(plan.table_tokens), n_layers
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
        pairs, entries = np.empty(self.n_pairs, np.int32), np.empty(most, np.int32)
        given = (self.prefixes, self.shared, self.index, chosen, self.is_causal)
        count, n_pairs = loops.find_nodes(*given, at, member, keys, pairs, entries, key_entries)
        pairs, entries, keys, key_entries = pairs[:n_pairs], entries[:count], keys[:count], key_entries[:count]
        answers = np.ascontiguousarray(at[:, self.positions]).ravel()
        queries = []
        for layer in range(self.n_layers):
            n_in = count if layer else n_pairs
            asks, sees = (_numbers(count), keys) if layer else (entries, key_entries)
            if layer == self.n_layers - 1:
                asks, sees = asks[answers], sees[answers]
            queries.append(Queries(asks, _numbers(len(asks)) if len(asks) < n_in else asks, sees))
        return Nodes(pairs, entries, keys, answers, labels.numpy()[chosen].ravel().astype(np.int32), queries)


def _numbers(n: int) -> Int32[Array, " n"]:
    return np.arange(n, dtype=np.int32)


@dataclass(frozen=True)
class Passes:
    """The compiled functions that take products in float32, or others in their place."""

    forward: Any = blocks.forward
    backward: Any = blocks.backward
    loss_of: Any = blocks.loss_of

    @classmethod
    def with_products(cls) -> "Passes":
        """In bfloat16."""
        return cls(*(with_products(getattr(blocks, name)) for name in ("forward", "backward", "loss_of")))


class Layers:
    """One model's step over nodes. ``W`` are its weights by name; after they change comes ``read``."""

    def __init__(self, cfg: Any, plan: Plan, W: Mapping[str, Array], in_bfloat16: bool = False) -> None:
        self.cfg, self.W, self.width = cfg, W, cfg.n_heads * cfg.d_head
        self.training = Passes.with_products() if in_bfloat16 else Passes()
        self.tokens = plan.table_tokens.cpu().numpy().astype(np.int32)
        self.positions = plan.table_positions.cpu().numpy().astype(np.int32)
        norm = blocks.NORMS[cfg.normalization_type]
        factors = (1.0 / float(cfg.attn_scale), float(cfg.attn_rate), float(cfg.eps))
        self.sizes = blocks.Sizes._make([cfg.n_heads, cfg.d_mlp, norm, *factors])
        self.qkv = [self._empty_attention() for _ in range(cfg.n_layers)]
        """Weights and biases of each layer's attention, heads side by side."""
        self.blocks = [self._block(layer) for layer in range(cfg.n_layers)]

    def read(self) -> None:
        """Take the present weights."""
        for layer, (W_q, b_q, W_kv, b_kv) in enumerate(self.qkv):
            into = {"Q": (W_q, b_q)} | {
                letter: (W_kv[:, part], b_kv[part])
                for letter, part in (("K", slice(0, self.width)), ("V", slice(self.width, None)))
            }
            for letter, (weight, bias) in into.items():
                heads = self.W[f"blocks.{layer}.attn.W_{letter}"]
                for h in range(self.cfg.n_heads):
                    weight[:, h * self.cfg.d_head : (h + 1) * self.cfg.d_head] = heads[h]
                bias[:] = self.W[f"blocks.{layer}.attn.b_{letter}"].ravel()

    @quiet
    def logits(self, nodes: Nodes) -> Float32[Array, "answers d_vocab_out"]:
        """Logits at the answers."""
        return self._forward(nodes, blocks.forward)[-1].copy()

    @quiet
    def gradients(self, nodes: Nodes, share: float, G: Mapping[str, Array]) -> float:
        """Loss summed over the answers, times ``share``, in nats; its gradients are written to ``G`` by name."""
        streams, memories, end, logits = self._forward(nodes, self.training.forward)
        d, G = buffer("d", *streams[-1].shape), _complete(G, self.W)
        w, _ = self._norm("ln_final", self.W)
        given = (streams[-1], logits, nodes.label, share, self.sizes.norm == 1, w, self.W["unembed.W_U"], *end)
        into = (d, *self._norm("ln_final", G), G["unembed.W_U"], G["unembed.b_U"])
        loss = self.training.loss_of(*given, buffer("shifted", len(logits)), *into)
        for layer in reversed(range(self.cfg.n_layers)):
            x = streams[layer]
            spare = buffer(f"spare {layer % 2}", blocks.spare_size(len(x), len(d), x.shape[1], self.width, self.sizes))
            given = (d, x, *nodes.queries[layer], self.blocks[layer], self.sizes, memories[layer])
            d = self.training.backward(*given, self._gradients(layer, G), spare)
        pairs = (self.tokens[nodes.pairs], self.positions[nodes.pairs])
        blocks.unembed(d, *pairs, G["embed.W_E"], G["pos_embed.W_pos"])
        return loss

    def _forward(
        self, nodes: Nodes, forward: Callable[..., Array]
    ) -> tuple[list[Array], list[Array], tuple[Array, ...], Array]:
        """The streams before, between and after the layers, what these keep, what the last norm keeps, the logits."""
        x = buffer("x", len(nodes.pairs), self.cfg.d_model)
        pairs = (self.tokens[nodes.pairs], self.positions[nodes.pairs])
        blocks.embed(self.W["embed.W_E"], self.W["pos_embed.W_pos"], *pairs, x)
        streams, memories = [x], []
        for layer, queries in enumerate(nodes.queries):
            n_out, n_keys = queries.keys.shape
            size = blocks.memory_size(len(x), n_out, n_keys, x.shape[1], self.width, self.sizes)
            memories.append(buffer(f"layer {layer}", size))
            x = forward(x, *queries, self.blocks[layer], self.sizes, memories[-1])
            streams.append(x)
        end = (buffer("unit", *x.shape), buffer("inverse", len(x)), buffer("normed", *x.shape))
        logits = buffer("logits", len(x), self.cfg.d_vocab_out)
        last = [self.sizes.norm == 1, *self._norm("ln_final", self.W), self.sizes.eps]
        blocks.logits_of(*[x, *last, self.W["unembed.W_U"], self.W["unembed.b_U"], *end, logits])
        return streams, memories, end, logits

    # ---- tensors by their place ------------------------------------------------------------------

    def _empty_attention(self) -> tuple[Array, ...]:
        d, width = self.cfg.d_model, self.width
        return tuple(np.empty(shape, np.float32) for shape in ((d, width), (width,), (d, 2 * width), (2 * width,)))

    def _block(self, layer: int) -> blocks.Block:
        return blocks.Block._make([*self.qkv[layer], *self._rest(layer, self.W)])

    def _gradients(self, layer: int, G: Mapping[str, Array]) -> blocks.Gradients:
        attn = [G[f"blocks.{layer}.attn.{kind}_{letter}"] for kind in "Wb" for letter in "QKV"]
        return blocks.Gradients._make([*attn[:3], *(b.reshape(-1) for b in attn[3:]), *self._rest(layer, G)])

    def _rest(self, layer: int, tensors: Mapping[str, Array]) -> list[Array]:
        """All of a layer's tensors but queries, keys and values."""
        name = f"blocks.{layer}"
        W_O = tensors[f"{name}.attn.W_O"].reshape(self.width, self.cfg.d_model)
        mlp = [tensors[f"{name}.mlp.{part}"] for part in ("W_in", "b_in", "W_out", "b_out")]
        norms = [*self._norm(f"{name}.ln1", tensors), *self._norm(f"{name}.ln2", tensors)]
        return [W_O, tensors[f"{name}.attn.b_O"], *mlp, *norms]

    @staticmethod
    def _norm(name: str, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
        none = np.empty(0, np.float32)
        return tensors.get(f"{name}.w", none), tensors.get(f"{name}.b", none)


def _complete(G: Mapping[str, Array], W: Mapping[str, Array]) -> Mapping[str, Array]:
    """Gradients by name, empty where a tensor is not trained."""
    return {name: G[name] if name in G else np.empty((0,) * w.ndim, np.float32) for name, w in W.items()}
