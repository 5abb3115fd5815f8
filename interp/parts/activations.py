"""Parts of a snapshot: weights, logits and neurons at the answer, and the matrix that joins the two."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.config.knows import unknown
from train.model import HookedMLP
from train.passes.entries import Plan, make_plan
from train.passes.frugal import KNOWS, answer_logits, mlp_logits
from train.passes.plain import plain_forward

from .memo import NotApplicable, part
from .rows import table_of
from .validity import FORWARD, MATRICES, NO_NEURONS, NOT_OF_A_FORWARD, require


@part
def _plan_of(run: Run) -> Plan:
    return make_plan(run.task.tokens, run.task.answer_positions, run.config.model.n_layers)


@part
def weights_of(snap: Snapshot) -> dict[str, Tensor]:
    """Tensors by name."""
    return {name: tensor.detach() for name, tensor in snap.model.state_dict().items()}


@part
def _activations(snap: Snapshot) -> tuple[Tensor, Tensor | None]:
    return forward(snap, weights_of(snap))


@torch.no_grad()
def forward(snap: Snapshot, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits [rows, d_vocab_out] at the answer and the last layer's neurons there [rows, d_mlp], for other weights.

    By the frugal forward where it knows the run's model and task, else by the hooked model itself. Without an MLP there
    are no neurons: None.
    """
    if len(snap.task.answer_positions) != 1:
        raise NotApplicable("this task has several answers a row")
    kept: dict[str, Tensor] = {}
    cfg = snap.model.cfg
    hook = None if cfg.attn_only else f"blocks.{cfg.n_layers - 1}.mlp.hook_post"
    if unknown(KNOWS, snap.run.config, FORWARD, NOT_OF_A_FORWARD) is not None:
        at = snap.task.answer_positions[0]
        logits, neurons = plain_forward(snap.model, weights, snap.task.tokens, [at], hook)
        if neurons is not None:
            neurons = neurons[:, 0 if neurons.shape[1] == 1 else at]  # an MLP's stand at a position of their own
        return logits.flatten(1), neurons
    if isinstance(snap.model, HookedMLP):
        logits = mlp_logits(weights, cfg, snap.task.tokens, keep=kept.__setitem__)
    else:
        logits = answer_logits(weights, cfg, _plan_of(snap.run), keep=kept.__setitem__)
    return logits.flatten(1), None if hook is None else kept[hook].flatten(1)


@part
def all_logits(snap: Snapshot) -> Float[Tensor, "rows d_vocab_out"]:
    """Logits at the answer of every row, those of "=" and the like included where the model has them."""
    return _activations(snap)[0]


@part
def logits_of(snap: Snapshot) -> Float[Tensor, "rows n"]:
    """Logits of the elements alone, float64."""
    return all_logits(snap)[:, : table_of(snap.run).n].double()


@part
def neurons_of(snap: Snapshot) -> Float[Tensor, "rows d_mlp"]:
    """The last layer's activations after the nonlinearity, at the answer."""
    neurons = _activations(snap)[1]
    if neurons is None:
        raise NotApplicable(NO_NEURONS)
    return neurons


@part
def neuron_logit_map(snap: Snapshot) -> Float[Tensor, "d_mlp n"]:
    """W_L = W_out W_U (in an MLP W_U) onto the elements' logits, float64; times the scale of the logits."""
    weights, cfg = weights_of(snap), snap.model.cfg
    if cfg.attn_only:
        raise NotApplicable(NO_NEURONS)
    if cfg.normalization_type is not None:
        raise NotApplicable("a layer norm stands between the neurons and the logits: no matrix joins them")
    require(snap.run, MATRICES, "the neuron-logit map")
    W_U = cfg.output_scale * weights["unembed.W_U"].double()[:, : table_of(snap.run).n]
    if isinstance(snap.model, HookedMLP):
        return W_U
    return weights[f"blocks.{cfg.n_layers - 1}.mlp.W_out"].double() @ W_U
