"""The arrays from which a report's page computes any neuron of a one-layer model: see ``html/assets/neuron.js``."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.runs.snapshot import Snapshot
from train.config.knows import Knows
from train.model import HookedMLP

from .activations import weights_of
from .memo import NotApplicable
from .rows import table_of
from .validity import MATRICES, NO_NEURONS, require

KINDS = {"a": 1, "b": 2}
"""Codes for the token at a position: an operand, or (0) a token that is the same in every row."""
ACTIVATIONS = ("relu", "gelu", "gelu_new", "silu", "tanh", "square")
"""Activation functions in the order in which ``neuron.js`` lists them."""
KNOWS: Knows = {**MATRICES, "model.n_layers": {1}, "model.act_fn": set(ACTIVATIONS)}
"""Settings that ``neuron.js`` implements; settings of the logits do not matter to a neuron."""


@torch.no_grad()
def neuron_arrays(snap: Snapshot) -> dict[str, np.ndarray]:
    """The arrays that ``neuron.js`` reads, under the names that the script uses.

    Raises:
        NotApplicable: no table, no neurons, more than one layer, or a layer norm.
    """
    cfg, n = snap.model.cfg, table_of(snap.run).n
    if cfg.attn_only:
        raise NotApplicable(NO_NEURONS)
    if cfg.n_layers != 1:
        raise NotApplicable("the page computes neurons of one-layer models")
    if cfg.normalization_type is not None:
        raise NotApplicable("the page computes neurons of models without layer norm")
    require(snap.run, KNOWS, "the page's own forward")
    weights = {name: tensor.double() for name, tensor in weights_of(snap).items()}
    arrays = {
        "n": torch.tensor([n]),
        "kinds": torch.tensor([KINDS.get(word, 0) for word in snap.task.shape.words]),
        "first": snap.task.tokens.min(dim=0).values,
        "activation": torch.tensor([ACTIVATIONS.index(cfg.act_fn)]),
        "b_in": weights["blocks.0.mlp.b_in"],
        "W_in": weights["blocks.0.mlp.W_in"],
        **({"E": weights["embed.W_E"]} if isinstance(snap.model, HookedMLP) else _attention(snap, weights)),
    }
    return {name: array.numpy().astype(np.float32) for name, array in arrays.items()}


def _attention(snap: Snapshot, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Queries, and keys and values split into a token's and a position's part: a key is the sum of its two parts.

    Where all rows have the same last token, such as "=", a key is replaced by its score.
    """
    W = {name.removeprefix("blocks.0.attn."): tensor for name, tensor in weights.items()}
    tokens, places = weights["embed.W_E"], weights["pos_embed.W_pos"]
    last = tokens[snap.task.tokens[:, -1].unique()] + places[snap.task.tokens.shape[1] - 1]
    q = (_by_head(last, W["W_Q"]) + W["b_Q"][:, None]) / snap.model.cfg.attn_scale
    keys = [_by_head(tokens, W["W_K"]), _by_head(places, W["W_K"]) + W["b_K"][:, None]]
    if len(last) == 1:
        q, keys = torch.ones_like(q[:, :, :1]), [k @ q.mT for k in keys]
    return {
        "q": q,
        "k_token": keys[0],
        "k_place": keys[1],
        "v_token": _by_head(tokens, W["W_V"]),
        "v_place": _by_head(places, W["W_V"]) + W["b_V"][:, None],
        "W_O": W["W_O"],
        "resid": last + W["b_O"],
        "rate": torch.tensor([snap.model.cfg.attn_rate]),
    }


def _by_head(x: Float[Tensor, "rows d_model"], W: Float[Tensor, "heads d_model d_head"]) -> Tensor:
    return torch.einsum("xd,hde->hxe", x, W)
