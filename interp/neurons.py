"""What a page needs to compute any neuron of a one-layer model: see ``page/neuron.js``."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from train.model import HookedMLP

from .parts import NotApplicable, table_of, weights_of
from .runs import Snapshot

KINDS = {"a": 1, "b": 2}
"""What stands at a position: an operand, or (0) the same token in every row."""


@torch.no_grad()
def neuron_arrays(snap: Snapshot) -> dict[str, np.ndarray]:
    """Arrays of ``page/neuron.js``: keys' scores and values by entry (a token at a position), and the MLP's input.

    Raises:
        NotApplicable: more than one layer, a layer norm, or an answer that is not read at the last position.
    """
    cfg, n = snap.model.cfg, table_of(snap.run).n
    if cfg.n_layers != 1:
        raise NotApplicable("the page computes neurons of one-layer models")
    if cfg.normalization_type is not None:
        raise NotApplicable("the page computes neurons of models without layer norm")
    weights = {name: tensor.double() for name, tensor in weights_of(snap).items()}
    words = snap.run.config.task.layout.split()
    firsts = [snap.task.tokens[0, j] for j in range(len(words))]
    tokens = [snap.task.tokens[:, j].unique() if word in KINDS else firsts[j][None] for j, word in enumerate(words)]
    sizes = [len(found) for found in tokens]
    offsets = np.cumsum([0, *sizes[:-1]])
    rows = [weights["embed.W_E"][found] for found in tokens]
    mixing = _mlp(weights, rows) if isinstance(snap.model, HookedMLP) else _attention(snap, weights, rows)
    arrays = {
        "kinds": np.array([KINDS.get(word, 0) for word in words]),
        "offsets": offsets,
        "is_gelu": np.array([cfg.act_fn == "gelu", n]),
        "b_in": weights["blocks.0.mlp.b_in"].numpy(),
        **{name: value.numpy() for name, value in mixing.items()},
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _attention(snap: Snapshot, weights: dict[str, Tensor], rows: list[Float[Tensor, "_ d_model"]]) -> dict[str, Tensor]:
    """Scores [heads, queries, entries], values, and the residual stream that goes straight to the MLP."""
    cfg, W = snap.model.cfg, {name.removeprefix("blocks.0.attn."): tensor for name, tensor in weights.items()}
    placed = [found + weights["pos_embed.W_pos"][j] for j, found in enumerate(rows)]
    x, last = torch.cat(placed), placed[-1]
    q = torch.einsum("qd,hde->hqe", last, W["W_Q"]) + W["b_Q"][:, None]
    k, v = (torch.einsum("xd,hde->hxe", x, W[f"W_{c}"]) + W[f"b_{c}"][:, None] for c in "KV")
    return {
        "scores": torch.einsum("hqe,hxe->hqx", q, k) / cfg.attn_scale,
        "v": v,
        "W_O": W["W_O"],
        "resid": last + W["b_O"],
        "W_in": weights["blocks.0.mlp.W_in"],
        "rate": torch.tensor([cfg.attn_rate]),
    }


def _mlp(weights: dict[str, Tensor], rows: list[Float[Tensor, "_ d_model"]]) -> dict[str, Tensor]:
    """The embeddings side by side, as one head that adds them up: each position has its own columns."""
    d_model = rows[0].shape[1]
    wide = len(rows) * d_model
    v = torch.cat(
        [torch.nn.functional.pad(found, (j * d_model, wide - (j + 1) * d_model)) for j, found in enumerate(rows)]
    )
    return {
        "scores": torch.zeros(1, 1, len(v)),
        "v": v[None],
        "W_O": torch.eye(wide, dtype=torch.float64)[None],
        "resid": torch.zeros(1, wide, dtype=torch.float64),
        "W_in": weights["blocks.0.mlp.W_in"],
        "rate": torch.tensor([0.0]),
    }
