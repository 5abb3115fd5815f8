"""Restricted and excluded losses, in every definition in use, each with the rows and biases of its source.

Restricted: the loss with the key frequencies alone; it falls as the circuit forms. Excluded: the loss without them;
on the training rows it rises as the model stops memorising. "2D" takes parts of each logit, or neuron, as a function
of the pair at cos and sin of w(a+b); "3D" takes parts of all logits at cos w(a+b-c). Key frequencies are the run's,
chosen at its end, so values at earlier snapshots look ahead. For another operation a+b is the place of its answer in
the cycle; rows with an element outside the cycle (0 in ``mul`` and ``div``) are left out. The logit of "=" is dropped.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.maths.pairs import at_frequencies
from interp.parts.activations import logits_of, neuron_logit_map
from interp.parts.keyfreqs import key_freqs_of
from interp.parts.memo import NotApplicable, part
from interp.parts.pairs import logit_means, neuron_means
from interp.parts.rows import law_of, law_rows, line_of
from interp.runs.snapshot import Snapshot
from train.passes.loss import cross_entropy

from .logits import clock_at
from .losses import Score, score, test_loss
from .registry import measure

NANDA_2D = "Nanda et al. 2023 (2301.05217), their trig_loss and excluded_loss_2D"
NANDA_3D = "Nanda et al. 2023, their excluded_loss_3D"
DEMO = "TransformerLens' Grokking_Demo"
IRREP = "Chughtai et al. 2023 (2302.03025), their hidden-layer metrics; on a cyclic group irreps are frequencies"
IRREP_LOGIT = "Chughtai et al. 2023, their logit metrics"


def _line_score(snap: Snapshot, logits: Float[Tensor, "n n_elements"], subset: str) -> Score:
    """Score over a subset of logits that are the same for all pairs of a line, one row a line."""
    labels = law_of(snap.run).cycle.order[:, None]
    lines = line_of(snap.run)[law_rows(snap.run, subset)]
    losses, right = cross_entropy(logits[:, None], labels)[lines], (logits.argmax(dim=1) == labels[:, 0])[lines]
    return float(losses.mean()), float(right.double().mean())


# ---- logits, 2D ------------------------------------------------------------------------------------


@part
def restricted_2d(snap: Snapshot, subset: str, ks: tuple[int, ...]) -> Score:
    """Loss and accuracy over a subset of the logits' parts at any frequencies, each logit's mean restored."""
    means = logit_means(snap)
    return _line_score(snap, at_frequencies(means, ks) + means.mean(dim=0), subset)


def _keys(snap: Snapshot) -> tuple[int, ...]:
    return key_freqs_of(snap.run).ks


@part
def excluded_2d(snap: Snapshot, ks: Sequence[int]) -> Score:
    """Loss and accuracy over the training rows of the logits less their parts at any frequencies."""
    rows = law_rows(snap.run, "train")
    taken = at_frequencies(logit_means(snap), ks)
    return score(snap, logits_of(snap)[rows] - taken[line_of(snap.run)[rows]], rows)


@measure("nats", NANDA_2D)
def restricted_loss_logit2d_all(snap: Snapshot) -> float:
    """Loss over all rows of the logits' parts at cos and sin of w(a+b), each logit's mean over pairs restored."""
    return restricted_2d(snap, "all", _keys(snap))[0]


@measure("nats", NANDA_2D)
def restricted_loss_logit2d_test(snap: Snapshot) -> float:
    """The same over the test rows."""
    return restricted_2d(snap, "test", _keys(snap))[0]


@measure("nats", NANDA_2D)
def restricted_loss_logit2d_train(snap: Snapshot) -> float:
    """The same over the training rows."""
    return restricted_2d(snap, "train", _keys(snap))[0]


@measure("nats", NANDA_2D + ", one frequency at a time")
def restricted_loss_logit2d_all_by_freq(snap: Snapshot) -> dict[int, float]:
    """Loss over all rows with one key frequency alone."""
    return {k: restricted_2d(snap, "all", (k,))[0] for k in _keys(snap)}


@measure("share", NANDA_2D + " (trig_acc)")
def restricted_acc_logit2d_all(snap: Snapshot) -> float:
    """Accuracy over all rows of those logits."""
    return restricted_2d(snap, "all", _keys(snap))[1]


@measure("nats", NANDA_2D)
def excluded_loss_logit2d_train(snap: Snapshot) -> float:
    """Loss over the training rows of the logits less those parts, of all key frequencies; no bias correction."""
    return excluded_2d(snap, _keys(snap))[0]


@measure("nats", NANDA_2D)
def excluded_loss_logit2d_train_by_freq(snap: Snapshot) -> dict[int, float]:
    """The same, taking out one key frequency at a time."""
    return {k: excluded_2d(snap, (k,))[0] for k in _keys(snap)}


@measure("share", NANDA_2D + " (excluded_acc_2D)")
def excluded_acc_logit2d_train(snap: Snapshot) -> float:
    """Accuracy over the training rows of the logits less the key frequencies' parts."""
    return excluded_2d(snap, _keys(snap))[1]


@measure("ratio", "Nanda et al. 2023, figure 6: test loss over restricted loss, which tells of cleanup")
def test_to_restricted_ratio(snap: Snapshot) -> float:
    """Test loss over the restricted loss of all rows (logit 2D)."""
    restricted = restricted_loss_logit2d_all(snap)
    if restricted == 0:
        raise NotApplicable("the restricted loss is 0 to float64's last bit")
    return test_loss(snap) / restricted


# ---- logits, 3D ------------------------------------------------------------------------------------


@part
def _cube(snap: Snapshot, ks: tuple[int, ...]) -> Float[Tensor, "n n_elements"]:
    """The logits' part along cos w(a+b-c) of these frequencies, one row a line; 0 for elements off the cycle."""
    law = law_of(snap.run)
    profile, place = clock_at(snap, ks), torch.arange(law.n)
    found = torch.zeros(law.n, logits_of(snap).shape[1], dtype=torch.float64)
    found[:, law.cycle.order] = profile[(place - place[:, None]) % law.n]
    return found


@part
def _excluded_3d(snap: Snapshot, ks: tuple[int, ...]) -> Score:
    rows = law_rows(snap.run, "train")
    return score(snap, logits_of(snap)[rows] - _cube(snap, ks)[line_of(snap.run)[rows]], rows)


@measure("nats", NANDA_3D)
def excluded_loss_logit3d_train(snap: Snapshot) -> float:
    """Loss over the training rows of the logits less their parts along cos w(a+b-c) of the key frequencies."""
    return _excluded_3d(snap, _keys(snap))[0]


@measure("nats", NANDA_3D)
def excluded_loss_logit3d_train_by_freq(snap: Snapshot) -> dict[int, float]:
    """The same, taking out one key frequency at a time."""
    return {k: _excluded_3d(snap, (k,))[0] for k in _keys(snap)}


@measure("share", NANDA_3D)
def excluded_acc_logit3d_train(snap: Snapshot) -> float:
    """Accuracy over the training rows of those logits."""
    return _excluded_3d(snap, _keys(snap))[1]


# ---- neurons ---------------------------------------------------------------------------------------


@part
def _key_neurons(snap: Snapshot, ks: Sequence[int]) -> Float[Tensor, "n n_elements"]:
    """What the neurons' parts at these frequencies add to the logits, one row a line."""
    return at_frequencies(neuron_means(snap)["total"], ks) @ neuron_logit_map(snap)


@part
def _restricted_neuron(snap: Snapshot, subset: str, ks: tuple[int, ...]) -> Score:
    """The neurons' mean adds the same logits to every row, which the correction replaces by the logits' own."""
    logits = _key_neurons(snap, ks) + logit_means(snap).mean(dim=0)
    return _line_score(snap, logits, subset)


@part
def _excluded_neuron(snap: Snapshot, ks: Sequence[int]) -> Score:
    rows = law_rows(snap.run, "train")
    return score(snap, logits_of(snap)[rows] - _key_neurons(snap, ks)[line_of(snap.run)[rows]], rows)


@measure("nats", DEMO)
def restricted_loss_neuron_test(snap: Snapshot) -> float:
    """Loss over the test rows of the logits of the neurons' parts at cos and sin of w(a+b), logits' means restored."""
    return _restricted_neuron(snap, "test", _keys(snap))[0]


@measure("nats", DEMO)
def restricted_loss_neuron_all(snap: Snapshot) -> float:
    """The same over all rows."""
    return _restricted_neuron(snap, "all", _keys(snap))[0]


@measure("nats", DEMO + ", one frequency at a time")
def restricted_loss_neuron_all_by_freq(snap: Snapshot) -> dict[int, float]:
    """Loss over all rows with one key frequency of the neurons alone."""
    return {k: _restricted_neuron(snap, "all", (k,))[0] for k in _keys(snap)}


@measure("share", DEMO)
def restricted_acc_neuron_all(snap: Snapshot) -> float:
    """Accuracy over all rows of those logits."""
    return _restricted_neuron(snap, "all", _keys(snap))[1]


@measure("nats", DEMO)
def excluded_loss_neuron_train(snap: Snapshot) -> float:
    """Loss over the training rows with those parts taken out of the neurons; skip connection and means kept."""
    return _excluded_neuron(snap, _keys(snap))[0]


@measure("nats", DEMO)
def excluded_loss_neuron_train_by_freq(snap: Snapshot) -> dict[int, float]:
    """The same, taking out one key frequency at a time."""
    return {k: _excluded_neuron(snap, (k,))[0] for k in _keys(snap)}


@measure("share", DEMO)
def excluded_acc_neuron_train(snap: Snapshot) -> float:
    """Accuracy over the training rows of those logits."""
    return _excluded_neuron(snap, _keys(snap))[1]
