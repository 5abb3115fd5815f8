"""Fourier spectra of matrices with one row per element, and their sparsity over frequencies."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.maths.fourier import component_norms, frequency_energy
from interp.maths.sparsity import gini, participation_ratio, spectral_entropy
from interp.parts.activations import neuron_logit_map, weights_of
from interp.parts.embeddings import embedding_rows
from interp.parts.memo import NotApplicable, part
from interp.parts.rows import cycle_of, table_of
from interp.parts.validity import MATRICES, NO_NEURONS, require
from interp.runs.snapshot import Snapshot

from .registry import measure

NANDA = "Nanda et al. 2023 (2301.05217): squared Fourier norms of both components of a frequency"
GINI = "Nanda et al. 2023, of Fourier norms; Hurley and Rickard 2009 (0811.4706), equation 1"
USUAL = "standard definition, over the shares of energy without the constant"


def _by_k(energy: Float[Tensor, " n_freqs"]) -> dict[int, float]:
    return {k: float(share) for k, share in enumerate(energy, start=1)}


# ---- the matrices, rows in the order of the cycle --------------------------------------------------


@part
def _W_U(snap: Snapshot) -> Float[Tensor, "n d"]:
    cycle = cycle_of(snap.run)
    return weights_of(snap)["unembed.W_U"].double()[:, : table_of(snap.run).n].T[cycle.order]


@part
def _W_L(snap: Snapshot) -> Float[Tensor, "n d_mlp"]:
    return neuron_logit_map(snap).T[cycle_of(snap.run).order]


@part
def _W_neur(snap: Snapshot) -> Float[Tensor, "n d_mlp"]:
    """W_E W_V W_O W_in, summed over heads."""
    weights = weights_of(snap)
    _one_layer(snap)
    if snap.model.cfg.attn_only:
        raise NotApplicable(NO_NEURONS)
    heads = torch.einsum("hdk,hke->de", *(weights[f"blocks.0.attn.W_{name}"].double() for name in "VO"))
    return embedding_rows(snap) @ heads @ weights["blocks.0.mlp.W_in"].double()


@part
def _scores(snap: Snapshot) -> Float[Tensor, "n n_heads"]:
    """Attention scores that the query at the answer's position gives to every element in layer 0, without positions."""
    weights, task = weights_of(snap), snap.task
    _one_layer(snap)
    position = task.answer_positions[0]
    token = task.tokens[0, position]
    if not bool((task.tokens[:, position] == token).all()):
        raise NotApplicable("the token at the answer's position is an operand: there is no one query")
    query = (weights["embed.W_E"][token] + weights["pos_embed.W_pos"][position]).double()
    W_Q, W_K = (weights[f"blocks.0.attn.W_{name}"].double() for name in "QK")
    return torch.einsum("nd,hdk,hek,e->nh", embedding_rows(snap), W_K, W_Q, query)


def _one_layer(snap: Snapshot) -> None:
    cfg = snap.model.cfg
    if cfg.n_heads == 0:
        raise NotApplicable("an MLP has no attention")
    if cfg.normalization_type is not None or cfg.n_layers != 1:
        raise NotApplicable("defined for one layer without layer norm")
    require(snap.run, MATRICES, "a matrix of this layer")


# ---- energies --------------------------------------------------------------------------------------


@measure("share of squared norm", NANDA)
def W_E_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the embedding's squared norm at each frequency; the constant is part of the total."""
    return _by_k(frequency_energy(embedding_rows(snap)))


@measure("share of squared norm", NANDA)
def W_E_b_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the squared norm of the second operand's own embedding, where there is one, at each frequency."""
    return _by_k(frequency_energy(embedding_rows(snap, "b")))


@measure("share of squared norm", NANDA)
def W_U_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the squared norm of the output layer's rows, W_U^T, at each frequency."""
    return _by_k(frequency_energy(_W_U(snap)))


@measure("share of squared norm", NANDA)
def W_L_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the squared norm of the neuron-logit map W_L = W_out W_U at each frequency."""
    return _by_k(frequency_energy(_W_L(snap)))


@measure("share of squared norm", "Nanda et al. 2023, appendix: the effective map into the neurons")
def W_neur_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the squared norm of W_E W_V W_O W_in, summed over heads, at each frequency.

    The map is what the neurons read of one operand under uniform attention.
    """
    return _by_k(frequency_energy(_W_neur(snap)))


@measure("share of squared norm", "Nanda et al. 2023: C_j, attention scores in the Fourier basis")
def attention_energy(snap: Snapshot) -> dict[int, float]:
    """Share of the squared norm of all heads' attention scores W_E W_K W_Q^T r at each frequency.

    r is the residual stream at the answer.
    """
    return _by_k(frequency_energy(_scores(snap)))


# ---- how few frequencies ---------------------------------------------------------------------------


@measure("0 to 1", GINI, chart="shares")
def gini_W_E(snap: Snapshot) -> float:
    """Gini coefficient of the Fourier norms of W_E, including the constant's."""
    return float(gini(component_norms(embedding_rows(snap))))


@measure("0 to 1", GINI)
def gini_W_U(snap: Snapshot) -> float:
    """Gini coefficient of the Fourier norms of W_U^T, including the constant's."""
    return float(gini(component_norms(_W_U(snap))))


@measure("0 to 1", GINI, chart="shares")
def gini_W_L(snap: Snapshot) -> float:
    """Gini coefficient of the Fourier norms of W_L, including the constant's."""
    return float(gini(component_norms(_W_L(snap))))


@measure("frequencies", USUAL)
def participation_ratio_W_E(snap: Snapshot) -> float:
    """Effective number of frequencies that hold the energy of W_E: (sum e)^2 / sum e^2."""
    return float(participation_ratio(frequency_energy(embedding_rows(snap))))


@measure("frequencies", USUAL)
def participation_ratio_W_L(snap: Snapshot) -> float:
    """Effective number of frequencies that hold the energy of W_L: (sum e)^2 / sum e^2."""
    return float(participation_ratio(frequency_energy(_W_L(snap))))


@measure("nats", USUAL)
def spectral_entropy_W_E(snap: Snapshot) -> float:
    """Entropy of the distribution of W_E's energy over frequencies."""
    return float(spectral_entropy(frequency_energy(embedding_rows(snap))))


@measure("nats", USUAL)
def spectral_entropy_W_L(snap: Snapshot) -> float:
    """Entropy of the distribution of W_L's energy over frequencies."""
    return float(spectral_entropy(frequency_energy(_W_L(snap))))
