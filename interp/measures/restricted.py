"""Restricted and excluded losses, in every definition in use, each with the rows and biases of its source.

Restricted: the loss with the key frequencies alone; it falls as the circuit forms. Excluded: the loss without them;
on the training rows it rises as the model stops memorising. "2D" takes parts of each logit, or neuron, as a function
of the pair at cos and sin of w(a+b); "3D" takes parts of all logits at cos w(a+b-c). Key frequencies are the run's,
chosen at its end, so values at earlier snapshots look ahead. For another operation a+b is the place of its answer in
the cycle; rows with an element outside the cycle (0 in ``mul`` and ``div``) are left out. The logit of "=" is dropped.

The functions here take the irreps of any group; a cycle's are its frequencies, with cos and sin as their matrix
coefficients and the cosine as their character. Family ``irreps`` declares the measures named by irrep.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.parts.activations import logits_of, neuron_logit_map
from interp.parts.irreps import Name, irreps_of, rows_on_lines
from interp.parts.keyfreqs import irrep_coefficients
from interp.parts.memo import NotApplicable, part
from interp.parts.pairs import logit_means, neuron_means_by_answer
from interp.runs.snapshot import Snapshot
from train.passes.loss import cross_entropy

from .losses import model_score
from .registry import FREQS, Over, Score, measure, scores

NANDA_2D = "Nanda et al. 2023 (2301.05217), their trig_loss and excluded_loss_2D"
NANDA_3D = "Nanda et al. 2023, their excluded_loss_3D"
DEMO = "TransformerLens' Grokking_Demo"
ONE = ", one frequency at a time"


# ---- scores of logits with and without parts -------------------------------------------------------


def restricted(snap: Snapshot, rows: str, parts: Float[Tensor, "n n_elements"]) -> Score:
    """Loss and accuracy over some rows of ``parts``: logits that are the same for all pairs with one answer."""
    _, line = rows_on_lines(snap.run, rows)
    labels = irreps_of(snap.run).order[:, None]
    losses, is_right = cross_entropy(parts[:, None], labels), parts.argmax(dim=1) == labels[:, 0]
    return Score(float(losses[line].mean()), float(is_right[line].double().mean()))


def excluded(
    snap: Snapshot, rows: str, logits: Float[Tensor, "rows n_elements"], parts: Float[Tensor, "n n_elements"]
) -> Score:
    """Loss and accuracy over some rows of ``logits`` less ``parts``, which are the same for all pairs of an answer."""
    indices, line = rows_on_lines(snap.run, rows)
    labels, remaining = snap.task.labels[indices], logits.index_select(0, indices) - parts.index_select(0, line)
    is_right = remaining.argmax(dim=1) == labels[:, 0]
    return Score(float(cross_entropy(remaining[:, None], labels).mean()), float(is_right.double().mean()))


# ---- parts of the logits, one row an answer --------------------------------------------------------


@part
def logit_parts(snap: Snapshot, keys: tuple[Name, ...]) -> Float[Tensor, "n n_elements"]:
    """Parts of each logit, as a function of ab, in the matrix coefficients of these irreps."""
    return irreps_of(snap.run).part(logit_means(snap), keys)


@part
def character_parts(snap: Snapshot, keys: tuple[Name, ...]) -> Float[Tensor, "n n_elements"]:
    """Part of the centred logits along chi(ab c^-1) of these irreps; 0 for elements outside the group."""
    irreps, coefficients = irreps_of(snap.run), irrep_coefficients(snap)
    units = [basis.T @ basis / len(basis) ** 0.5 for basis in (irreps.bases[name] for name in keys)]
    parts = torch.zeros_like(logit_means(snap))
    parts[:, irreps.order] = torch.stack([coefficients[k] * unit for k, unit in zip(keys, units, strict=True)]).sum(0)
    return parts


@part
def neuron_parts(snap: Snapshot, keys: tuple[Name, ...]) -> Float[Tensor, "n n_elements"]:
    """Contribution to the logits of the neurons' parts, as functions of ab, in these irreps' matrix coefficients."""
    return irreps_of(snap.run).part(neuron_means_by_answer(snap), keys) @ neuron_logit_map(snap)


# ---- logits ----------------------------------------------------------------------------------------


@scores(
    NANDA_2D,
    FREQS,
    restricted_loss_logit2d_all=Over("all", chart="losses"),
    restricted_loss_logit2d_test=Over("test"),
    restricted_loss_logit2d_train=Over("train"),
    restricted_loss_logit2d_all_by_freq=Over("all", by_freq=True, note=ONE),
    restricted_acc_logit2d_all=Over("all", accuracy=True, note=" (trig_acc)"),
)
def restricted_2d(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits' parts at cos and sin of w(a+b) of {keys}, each logit's mean restored."""
    return restricted(snap, rows, logit_parts(snap, keys) + logit_means(snap).mean(dim=0))


@scores(
    NANDA_2D,
    FREQS,
    excluded_loss_logit2d_train=Over("train", chart="losses"),
    excluded_loss_logit2d_train_by_freq=Over("train", by_freq=True),
    excluded_acc_logit2d_train=Over("train", accuracy=True, note=" (excluded_acc_2D)"),
)
def excluded_2d(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits less their parts at cos and sin of w(a+b) of {keys}; no bias correction."""
    return excluded(snap, rows, logits_of(snap), logit_parts(snap, keys))


@measure("ratio", "Nanda et al. 2023, figure 6: test loss over restricted loss, which shows cleanup")
def test_to_restricted_ratio(snap: Snapshot) -> float:
    """Test loss over the restricted loss of all rows (logit 2D)."""
    loss = restricted_2d(snap, "all", FREQS.of(snap.run)).loss
    if loss == 0:
        raise NotApplicable("the restricted loss is 0 to float64's last bit")
    return model_score(snap, "test").loss / loss


@scores(
    NANDA_3D,
    FREQS,
    excluded_loss_logit3d_train=Over("train", chart="losses"),
    excluded_loss_logit3d_train_by_freq=Over("train", by_freq=True),
    excluded_acc_logit3d_train=Over("train", accuracy=True),
)
def excluded_3d(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits less their parts along cos w(a+b-c) of {keys}."""
    return excluded(snap, rows, logits_of(snap), character_parts(snap, keys))


# ---- neurons ---------------------------------------------------------------------------------------


@scores(
    DEMO,
    FREQS,
    restricted_loss_neuron_test=Over("test", chart="losses"),
    restricted_loss_neuron_all=Over("all"),
    restricted_loss_neuron_all_by_freq=Over("all", by_freq=True, note=ONE),
    restricted_acc_neuron_all=Over("all", accuracy=True),
)
def restricted_neuron(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} of the logits of the neurons' parts at cos and sin of w(a+b) of {keys}, means restored."""
    # the neurons' mean adds the same logits to every row; the logits' own mean stands in its place
    return restricted(snap, rows, neuron_parts(snap, keys) + logit_means(snap).mean(dim=0))


@scores(
    DEMO,
    FREQS,
    excluded_loss_neuron_train=Over("train", chart="losses"),
    excluded_loss_neuron_train_by_freq=Over("train", by_freq=True),
    excluded_acc_neuron_train=Over("train", accuracy=True),
)
def excluded_neuron(snap: Snapshot, rows: str, keys: tuple[Name, ...]) -> Score:
    """{score} over {rows} without the neurons' parts at cos and sin of w(a+b) of {keys}; skip and means kept."""
    return excluded(snap, rows, logits_of(snap), neuron_parts(snap, keys))
