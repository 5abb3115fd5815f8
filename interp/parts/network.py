"""The weights of a one-layer model as arrays, from which a script in a page computes the model itself.

The script is ``sections/assets/forward.js``. Tensors are rounded to 16 bits, each multiplied by a power of two that
brings its largest number near the top of float16's range, so that none overflows and small ones keep their digits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.config.knows import ANY, Knows
from train.model import HookedMLP

from .activations import all_logits, forward, weights_of
from .memo import NotApplicable, part
from .rows import table_of
from .validity import require

KINDS = {"a": 1, "b": 2}
"""Codes for the token at a position: an operand, or (0) a token that is the same in every row."""
KNOWS: Knows = {
    **{f"model.{name}": ANY for name in ("d_model", "n_heads", "d_head", "d_mlp", "attn_rate", "output_scale")},
    "model.n_layers": {1},
    "model.arch": {"transformer", "mlp"},
    "model.attn_only": {True, False},
    "model.act_fn": {"relu", "gelu", "gelu_new", "silu", "tanh", "square"},
    "model.norm": {"none", "pre", "post"},
    "model.positions": {"learned", "sinusoidal"},
    "model.attention": {"causal", "bidirectional"},  # the answer is read at the last position, which sees all others
    "model.biases": {"none", "mlp", "all"},
    "model.outputs": {"answers", "tokens"},
    "task.op": ANY,
    "task.p": ANY,
    "task.group": ANY,
    "task.layout": {"a b =", "a op b =", "a b", "a op b", "eos a op b ="},
    "task.shared_vocabulary": {True, False},
}
"""Settings of the model and the task that ``forward.js`` implements."""
MOST_BYTES = 1_900_000
"""Largest number of bytes of base64 that the weights may add to a page."""
MOST_ELEMENTS = 256
"""Largest number of elements of which a page computes the table of all pairs."""
TOLERANCE = 1e-2
"""Largest difference that rounded weights may make to a logit, as a share of the largest logit."""
TOP = 15
"""Rounded tensors are scaled to a largest absolute value of at most 2**TOP; float16 ends at 65,504."""


@dataclass(frozen=True, eq=False)
class Network:
    """Weights at a few steps, and what else the forward pass of a page needs.

    Attributes:
        arrays: tensors [n_steps, ...] by the script's names; one that is zero at every step is left out.
        options: settings of the model, the tokens' places, and the exponents by which tensors were scaled.
        precision: "float16" or "float32".
        difference: largest change of a logit by the rounding, as a share of the step's largest logit, at each step.
    """

    arrays: dict[str, np.ndarray]
    options: dict[str, Any]
    precision: str
    difference: tuple[float, ...]


def network_of(run: Run, steps: Sequence[int]) -> Network:
    """The run's model at each of ``steps``, in float16; in float32 where rounding would change logits by more than 1%.

    Raises:
        NotApplicable: the script does not implement a setting of the run, or the weights of one step are too large.
        DataError: a snapshot cannot be read.
    """
    _require(run)
    tensors = [_tensors(run[step]) for step in steps]
    stacked = {name: torch.stack([each[name] for each in tensors]) for name in tensors[0]}
    stacked = {name: tensor for name, tensor in stacked.items() if tensor.any()}
    differences = tuple(_difference(run[step]) for step in steps)
    is_half = max(differences) <= TOLERANCE
    exponents = {name: _exponent(tensor) if is_half and name not in EXACT else 0 for name, tensor in stacked.items()}
    arrays = {
        name: np.ldexp(tensor.numpy(), exponents[name]).astype(
            np.float16 if is_half and name not in EXACT else np.float32
        )
        for name, tensor in stacked.items()
    }
    return Network(
        arrays,
        _options(run) | {"exponents": {name: exponent for name, exponent in exponents.items() if exponent}},
        "float16" if is_half else "float32",
        differences if is_half else (0.0,) * len(steps),
    )


EXACT = ("reads",)
"""Small arrays that stay in float32."""


def _require(run: Run) -> None:
    n = table_of(run).n
    if run.config.model.n_layers != 1:
        raise NotApplicable("the page computes models of one layer")
    require(run, KNOWS, "the page's own forward pass")
    if tuple(run.task.answer_positions) != (len(run.task.shape.words) - 1,):
        raise NotApplicable("the page computes models whose answer is read at the last position")
    if n > MOST_ELEMENTS:
        raise NotApplicable(f"the page computes tables of at most {MOST_ELEMENTS} elements, not {n}")


def _options(run: Run) -> dict[str, Any]:
    """What ``forward.js`` reads besides the weights."""
    cfg, task = run.last.model.cfg, run.task
    return {
        "n": table_of(run).n,
        "kinds": [KINDS.get(word, 0) for word in task.shape.words],
        "first": task.tokens.min(dim=0).values.tolist(),
        "outputs": cfg.d_vocab_out,
        "width": cfg.d_model,
        "heads": cfg.n_heads,
        "size": cfg.d_head,
        "neurons": cfg.d_mlp,
        "act": cfg.act_fn,
        "norm": {None: "none", "LN": "pre", "LNPost": "post"}[cfg.normalization_type],
        "rate": cfg.attn_rate,
        "scale": cfg.output_scale,
        "eps": cfg.eps,
    }


# ---- tensors -----------------------------------------------------------------------------------------


@torch.no_grad()
def _tensors(snap: Snapshot) -> dict[str, Float[Tensor, "..."]]:
    """The tensors that the script reads, float64, by short name.

    A key's bias changes all scores of a query alike, so it never matters. Where every row ends in the same token, such
    as "=", queries and keys are one vector of each head, ``reads``: a position's score is its product with the
    position's input.
    """
    weights = {name: tensor.double() for name, tensor in weights_of(snap).items()}
    short = {name.removeprefix("blocks.0.").replace("attn.", "").replace("mlp.", ""): t for name, t in weights.items()}
    short = {name.rpartition("embed.")[2].replace(".", "_"): tensor for name, tensor in short.items()}
    if isinstance(snap.model, HookedMLP):
        return short
    del short["b_K"]
    last = snap.task.tokens[:, -1].unique()
    if len(last) == 1:
        x = short["W_E"][last[0]] + short["W_pos"][snap.task.shape.n_ctx - 1]
        if snap.model.cfg.normalization_type == "LN":
            x = torch.nn.functional.layer_norm(x, x.shape, short["ln1_w"], short["ln1_b"], snap.model.cfg.eps)
        q = torch.einsum("d,hde->he", x, short.pop("W_Q")) + short.pop("b_Q")
        short["reads"] = torch.einsum("hde,he->hd", short.pop("W_K"), q) / snap.model.cfg.attn_scale
    if _has_direct_readout(snap):
        short["W_L"] = short.pop("W_out") @ short["W_U"]
    return short


def _has_direct_readout(snap: Snapshot) -> bool:
    """Whether neurons reach the logits by one product, the neuron-logit map W_out W_U, which takes fewer numbers."""
    cfg = snap.model.cfg
    is_straight = not isinstance(snap.model, HookedMLP) and cfg.normalization_type is None and cfg.d_mlp > 0
    return is_straight and cfg.d_vocab_out < cfg.d_model


def _exponent(tensor: Float[Tensor, "..."]) -> int:
    """The power of two that brings a tensor's largest absolute value to at most 2**TOP."""
    return TOP - math.frexp(float(tensor.abs().max()))[1]


def rounded(tensor: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A tensor as it is after the way through float16, in its own type."""
    if not tensor.any():
        return tensor
    exponent = _exponent(tensor)
    half = np.ldexp(tensor.double().numpy(), exponent).astype(np.float16)
    return torch.from_numpy(np.ldexp(half.astype(np.float64), -exponent)).to(tensor.dtype)


@part
def _difference(snap: Snapshot) -> float:
    """Largest change of a logit over all pairs, as a share of the largest logit, if all weights are rounded."""
    exact = all_logits(snap)
    largest = float(exact.abs().max())
    weights = weights_of(snap)
    halves = {name: rounded(tensor) for name, tensor in weights.items()}
    logits, neurons = forward(snap, halves)
    if _has_direct_readout(snap) and neurons is not None:
        W_out, W_U = "blocks.0.mlp.W_out", "unembed.W_U"
        map_error = rounded(weights[W_out].double() @ weights[W_U].double()) - (halves[W_out] @ halves[W_U]).double()
        logits = logits + snap.model.cfg.output_scale * (neurons.double() @ map_error)
    return float((logits - exact).abs().max()) / largest if largest > 0 else 0.0


def n_bytes(network: Network) -> int:
    """Bytes that the weights add to a page, in base64."""
    return sum(4 * -(-array.nbytes // 3) for array in network.arrays.values())
