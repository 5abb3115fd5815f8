"""Parts of a snapshot: weights, logits and neurons at the answer, and the matrix from neurons to logits."""

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
    """All tensors of the model by TransformerLens name, detached."""
    return {name: tensor.detach() for name, tensor in snap.model.state_dict().items()}


@part
def _activations(snap: Snapshot) -> tuple[Tensor, Tensor | None]:
    return _forward(snap, weights_of(snap))


def forward(snap: Snapshot, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits [rows, d_vocab_out] at the answer and the last layer's neurons there [rows, d_mlp], for other weights.

    Without an MLP there are no neurons: None.

    Raises:
        NotApplicable: the task has several answers a row.
    """
    return _single(snap, _forward(snap, weights))


def _single(snap: Snapshot, found: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Logits and neurons [rows, n_answers, ...] of a task with one answer, without the axis of answers."""
    if len(snap.task.answer_positions) != 1:
        raise NotApplicable("this task has several answers a row")
    logits, neurons = found
    return logits[:, 0], None if neurons is None else neurons[:, 0]


@torch.no_grad()
def _forward(snap: Snapshot, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Logits [rows, n_answers, d_vocab_out] and the last layer's neurons [rows, n_answers, d_mlp] at the answers.

    By the frugal forward where it knows the run's model and task, else by the hooked model itself.
    """
    kept: dict[str, Tensor] = {}
    cfg, positions = snap.model.cfg, list(snap.task.answer_positions)
    hook = None if cfg.attn_only else f"blocks.{cfg.n_layers - 1}.mlp.hook_post"
    if unknown(KNOWS, snap.run.config, FORWARD, NOT_OF_A_FORWARD) is not None:
        logits, neurons = plain_forward(snap.model, weights, snap.task.tokens, positions, hook)
        if neurons is None or neurons.shape[1] == 1:  # an MLP has one row of neurons for all positions
            return logits, neurons
        return logits, neurons[:, positions]
    if isinstance(snap.model, HookedMLP):
        logits = mlp_logits(weights, cfg, snap.task.tokens, keep=kept.__setitem__)[:, None]
        return logits.expand(-1, len(positions), -1), kept[f"blocks.{cfg.n_layers - 1}.mlp.hook_post"][:, None]
    logits = answer_logits(weights, cfg, _plan_of(snap.run), keep=kept.__setitem__)
    return logits, None if hook is None else kept[hook]


@part
def logits_at_answers(snap: Snapshot) -> Float[Tensor, "rows n_answers d_vocab_out"]:
    """Logits at every answer of every row, those of "=" and the like included where the model has them."""
    return _activations(snap)[0]


@part
def all_logits(snap: Snapshot) -> Float[Tensor, "rows d_vocab_out"]:
    """Logits at the one answer of every row, those of "=" and the like included where the model has them."""
    return _single(snap, _activations(snap))[0]


@part
def logits_of(snap: Snapshot) -> Float[Tensor, "rows n"]:
    """Logits of the elements alone, float64."""
    return all_logits(snap)[:, : table_of(snap.run).n].double()


@part
def neurons_of(snap: Snapshot) -> Float[Tensor, "rows d_mlp"]:
    """The last layer's activations after the nonlinearity, at the answer."""
    neurons = _single(snap, _activations(snap))[1]
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
