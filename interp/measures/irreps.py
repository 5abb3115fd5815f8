"""Measures by irreducible representation, for addition and composition in a group: Chughtai et al. 2023 (2302.03025).

On a cyclic group irreps are frequencies and are named by them; otherwise names are the degree and a number (4.2). Each
is represented by a basis of its matrix coefficients, computed from characters. The published hidden-layer values of
cyclic groups and all published values of A5's 3-dimensional irreps are wrong: see docs/background/published_errors.md.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.parts.activations import logits_of, neuron_logit_map, neurons_of, weights_of
from interp.parts.irreps import Name, irreps_of
from interp.parts.keyfreqs import irrep_cosines, key_irreps_of
from interp.parts.memo import part
from interp.parts.rows import table_of
from interp.runs.snapshot import Snapshot

from .registry import IRREPS, Over, Score, measure, scores
from .restricted import character_parts, excluded, neuron_parts, restricted

CHUGHTAI = "Chughtai et al. 2023 (2302.03025)"
ByIrrep = dict[Name, float]


# ---- logits and matrices ---------------------------------------------------------------------------


@measure("cosine", f"{CHUGHTAI}: logit similarity")
def irrep_logit_cos(snap: Snapshot) -> ByIrrep:
    """Cosine between the logits, centred over c, and chi(ab c^-1), for each irrep, the trivial one left out."""
    return irrep_cosines(snap)


@measure("share of logit energy", f"{CHUGHTAI}: percent of logits explained")
def irrep_logit_fve(snap: Snapshot) -> float:
    """Share of the centred logits' energy along chi(ab c^-1) of the key irreps."""
    return sum(irrep_cosines(snap)[name] ** 2 for name in key_irreps_of(snap.run))


@measure("share of squared norm", f"{CHUGHTAI}: percent of embedding explained")
def irrep_W_E_energy(snap: Snapshot) -> ByIrrep:
    """Share of the embedding's squared norm in each irrep's matrix coefficients."""
    return _shares(snap, weights_of(snap)["embed.W_E"].double())


@measure("share of squared norm", f"{CHUGHTAI}: percent of unembedding explained")
def irrep_W_L_energy(snap: Snapshot) -> ByIrrep:
    """Share of the squared norm of the neuron-logit map in each irrep's matrix coefficients."""
    return _shares(snap, neuron_logit_map(snap).T)


def _shares(snap: Snapshot, matrix: Float[Tensor, "n_elements d"]) -> ByIrrep:
    irreps = irreps_of(snap.run)
    rows = matrix[irreps.order]
    return irreps.shares(rows, rows.square().sum())


# ---- neurons ---------------------------------------------------------------------------------------


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of a")
def irrep_neuron_a_fve(snap: Snapshot) -> ByIrrep:
    """Share of the neurons' variance over pairs in each irrep's functions of a."""
    return _neuron_fve(snap, snap.task.pairs[:, 0])


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of b")
def irrep_neuron_b_fve(snap: Snapshot) -> ByIrrep:
    """Share of the neurons' variance over pairs in each irrep's functions of b."""
    return _neuron_fve(snap, snap.task.pairs[:, 1])


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of ab")
def irrep_neuron_ab_fve(snap: Snapshot) -> ByIrrep:
    """Share of the neurons' variance over pairs in each irrep's functions of ab."""
    return _neuron_fve(snap, snap.task.labels[:, 0])


def _neuron_fve(snap: Snapshot, element: Int64[Tensor, " rows"]) -> ByIrrep:
    """Share of the neurons' variance in functions of ``element``, which holds each row's a, b or answer."""
    irreps, (neurons, variance) = irreps_of(snap.run), _neurons_on_lines(snap)
    n = len(irreps.order)
    place = torch.empty(table_of(snap.run).n, dtype=torch.long)
    place[irreps.order] = torch.arange(n)
    sums = torch.zeros(n, neurons.shape[1], dtype=torch.float64)
    sums.index_add_(0, place[element[irreps.by_answer.flatten()]], neurons)
    return irreps.shares(sums / n, variance / n)


@part
def _neurons_on_lines(snap: Snapshot) -> tuple[Float[Tensor, "pairs d_mlp"], Float[Tensor, ""]]:
    """Neurons of the pairs on the group's lines, float64, and the sum of their squared distances from their mean."""
    neurons = neurons_of(snap)[irreps_of(snap.run).by_answer.flatten()].double()
    return neurons, (neurons - neurons.mean(dim=0)).square().sum()


# ---- restricted and excluded losses ----------------------------------------------------------------


@scores(
    CHUGHTAI,
    IRREPS,
    restricted_loss_irrep_hidden_all=Over("all", note=": total restricted loss, hidden"),
    restricted_acc_irrep_hidden_all=Over("all", accuracy=True, note=": total restricted loss, hidden"),
    restricted_loss_irrep_hidden_all_by_irrep=Over("all", by_freq=True, note=": hidden restricted loss of an irrep"),
)
def restricted_hidden(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits of the neurons' parts in {keys} of ab; no means, biases or skip connection."""
    return restricted(snap, rows, neuron_parts(snap, keys))


@scores(
    CHUGHTAI,
    IRREPS,
    excluded_loss_irrep_hidden_train=Over("train", note=": total excluded loss, hidden"),
    excluded_acc_irrep_hidden_train=Over("train", accuracy=True, note=": total excluded loss, hidden"),
    excluded_loss_irrep_hidden_train_by_irrep=Over("train", by_freq=True, note=": hidden excluded loss of an irrep"),
)
def excluded_hidden(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits of the neurons without their parts in {keys} of ab; no biases or skip."""
    return excluded(snap, rows, _neuron_logits(snap), neuron_parts(snap, keys))


@scores(
    f"{CHUGHTAI}, their code: ",
    IRREPS,
    restricted_loss_irrep_logit_all=Over("all", note="restricted loss of logits"),
    restricted_acc_irrep_logit_all=Over("all", accuracy=True, note="restricted loss of logits"),
    restricted_loss_irrep_logit_all_by_irrep=Over("all", by_freq=True, note="logit restricted loss of an irrep"),
)
def restricted_logit(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the centred logits' parts along chi(ab c^-1) of {keys}."""
    return restricted(snap, rows, character_parts(snap, keys))


@scores(
    f"{CHUGHTAI}, their code: ",
    IRREPS,
    excluded_loss_irrep_logit_train=Over("train", note="excluded loss of logits"),
    excluded_acc_irrep_logit_train=Over("train", accuracy=True, note="excluded loss of logits"),
    excluded_loss_irrep_logit_train_by_irrep=Over("train", by_freq=True, note="logit excluded loss of an irrep"),
)
def excluded_logit(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits less the centred logits' parts along chi(ab c^-1) of {keys}."""
    return excluded(snap, rows, logits_of(snap), character_parts(snap, keys))


@part
def _neuron_logits(snap: Snapshot) -> Float[Tensor, "rows n_elements"]:
    """The neurons' contribution to the logits of each row."""
    return neurons_of(snap).double() @ neuron_logit_map(snap)
