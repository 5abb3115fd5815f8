"""Measures by irreducible representation, for addition and composition in a group: Chughtai et al. 2023 (2302.03025).

On a cyclic group irreps are frequencies and are named by them; otherwise names are the degree and a number (4.2). Each
is known by its isotypic projector, which characters give. Their published hidden-layer values of cyclic groups and all
published values of A5's 3-dimensional irreps are wrong: see docs/published_errors.md.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.maths.irreps import isotypic_projectors
from interp.maths.pairs import frequency_rows, line_means
from interp.parts.activations import logits_of, neuron_logit_map, neurons_of, weights_of
from interp.parts.keyfreqs import KEY_SHARE, last_of
from interp.parts.memo import NotApplicable, part
from interp.parts.pairs import centred_logits, neuron_means
from interp.parts.rows import has_law, law_of, line_of, rows_of, table_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.algebra.groups import group

from .losses import Score, score
from .registry import measure

CHUGHTAI = "Chughtai et al. 2023 (2302.03025)"
Names = tuple[int | str, ...]


@dataclass(frozen=True)
class Irreps:
    """The group's elements in some order, its lines of pairs by answer in that order, and projectors by name."""

    order: Int64[Tensor, " n"]
    by_answer: Int64[Tensor, "n n"]
    line: Int64[Tensor, " rows"]
    """The line of each row, -1 for rows on none."""
    projectors: dict[int | str, Float[Tensor, "n n"]]
    """Non-trivial irreps only."""


@part
def irreps_of(run: Run) -> Irreps:
    """Irreps of the group that the run's operation composes in."""
    table = table_of(run)
    if has_law(run):
        law = law_of(run)
        rows = {k: frequency_rows(law.n, [k]) for k in range(1, law.n // 2 + 1)}
        return Irreps(law.cycle.order, law.by_answer, line_of(run), {k: basis.T @ basis for k, basis in rows.items()})
    if not isinstance(table.structure, str) or table.op != "compose":
        raise NotApplicable(f"irreps are for composition in a group, not for {table.op}")
    projectors = isotypic_projectors(group(table.structure).table)
    line = table.values.flatten()
    by_answer = line.argsort(stable=True).view(table.n, table.n)
    return Irreps(torch.arange(table.n), by_answer, line, dict(list(projectors.items())[1:]))


# ---- logits ----------------------------------------------------------------------------------------


@part
def _centred(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Logits [answer, pair with it, element], centred over the elements."""
    if has_law(snap.run):
        return centred_logits(snap)
    logits = logits_of(snap)[irreps_of(snap.run).by_answer]
    return logits - logits.mean(dim=-1, keepdim=True)


@part
def _cosines(snap: Snapshot) -> dict[int | str, float]:
    """Cosine of the centred logits with chi(ab c^-1), by irrep; on answers t this is n <mean logits, P> / norms."""
    centred = _centred(snap)
    means, norm, n = centred.mean(dim=1), centred.norm(), len(centred)
    projectors = irreps_of(snap.run).projectors
    return {name: float(n**0.5 * (means * P).sum() / (norm * P.norm())) for name, P in projectors.items()}


@part
def key_irreps_of(run: Run) -> Names:
    """Irreps with at least 1% of the centred logits' energy at the last snapshot; the key frequencies, if given."""
    if run.given_key_freqs is not None and has_law(run):
        return run.given_key_freqs
    found = tuple(name for name, cos in _cosines(run.last).items() if cos**2 >= KEY_SHARE)
    if not found:
        raise NotApplicable(f"no irrep holds {KEY_SHARE:.0%} of the logits' energy at {last_of(run)}")
    return found


@measure("cosine", f"{CHUGHTAI}: logit similarity")
def irrep_logit_cos(snap: Snapshot) -> dict[int | str, float]:
    """Cosine between the logits, centred over c, and chi(ab c^-1), for each irrep, the trivial one left out."""
    return _cosines(snap)


@measure("share of logit energy", f"{CHUGHTAI}: percent of logits explained")
def irrep_logit_fve(snap: Snapshot) -> float:
    """Sum of the squares of those cosines over the key irreps: at least 1% each at the last snapshot."""
    return sum(_cosines(snap)[name] ** 2 for name in key_irreps_of(snap.run))


# ---- embeddings ------------------------------------------------------------------------------------


def _shares(snap: Snapshot, rows: Float[Tensor, "n d"]) -> dict[int | str, float]:
    total = rows.square().sum()
    return {name: float((P @ rows).square().sum() / total) for name, P in irreps_of(snap.run).projectors.items()}


@measure("share of squared norm", f"{CHUGHTAI}: percent of embedding explained")
def irrep_W_E_energy(snap: Snapshot) -> dict[int | str, float]:
    """Share of the embedding's squared norm in each irrep's matrix coefficients."""
    return _shares(snap, weights_of(snap)["embed.W_E"].double()[irreps_of(snap.run).order])


@measure("share of squared norm", f"{CHUGHTAI}: percent of unembedding explained")
def irrep_W_L_energy(snap: Snapshot) -> dict[int | str, float]:
    """Share of the squared norm of the neuron-logit map in each irrep's matrix coefficients."""
    return _shares(snap, neuron_logit_map(snap).T[irreps_of(snap.run).order])


# ---- neurons and losses ----------------------------------------------------------------------------


@part
def _neuron_parts(snap: Snapshot) -> dict[str, dict[int | str, float]]:
    """Share of the neurons' variance that is each irrep's, as functions of a, of b and of ab."""
    irreps, neurons = irreps_of(snap.run), neurons_of(snap).double()
    n = len(irreps.order)
    on = neurons[irreps.by_answer.flatten()]
    variance = (on - on.mean(dim=0)).square().sum()
    pairs = snap.task.pairs[irreps.by_answer.flatten()]
    place = torch.empty(table_of(snap.run).n, dtype=torch.long)
    place[irreps.order] = torch.arange(n)
    found = {}
    for name, which in (("a", pairs[:, 0]), ("b", pairs[:, 1]), ("ab", None)):
        index = torch.arange(n).repeat_interleave(n) if which is None else place[which]
        means = torch.zeros(n, on.shape[1], dtype=torch.float64).index_add_(0, index, on) / n
        found[name] = {k: float(n * (P @ means).square().sum() / variance) for k, P in irreps.projectors.items()}
    return found


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of a")
def irrep_neuron_a_fve(snap: Snapshot) -> dict[int | str, float]:
    """Share of the neurons' variance over pairs in each irrep's functions of a."""
    return _neuron_parts(snap)["a"]


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of b")
def irrep_neuron_b_fve(snap: Snapshot) -> dict[int | str, float]:
    """Share of the neurons' variance over pairs in each irrep's functions of b."""
    return _neuron_parts(snap)["b"]


@measure("share of variance", f"{CHUGHTAI}: percent of hidden explained, of ab")
def irrep_neuron_ab_fve(snap: Snapshot) -> dict[int | str, float]:
    """Share of the neurons' variance over pairs in each irrep's functions of ab."""
    return _neuron_parts(snap)["ab"]


@part
def _lines(snap: Snapshot, subset: str) -> tuple[Int64[Tensor, " chosen"], Int64[Tensor, " chosen"]]:
    """Rows of a subset that lie on lines, and their lines."""
    rows = rows_of(snap.run, subset)
    line = irreps_of(snap.run).line[rows]
    return rows[line >= 0], line[line >= 0]


@part
def _means(snap: Snapshot) -> Float[Tensor, "n d_mlp"]:
    """Mean neurons over the pairs with one answer."""
    if has_law(snap.run):
        return neuron_means(snap)["total"]
    return line_means(neurons_of(snap), irreps_of(snap.run).by_answer)


def _neurons_in(snap: Snapshot, names: Names) -> Float[Tensor, "n d_mlp"]:
    """The neurons' parts in these irreps' functions of ab, one row an answer."""
    projectors = irreps_of(snap.run).projectors
    return torch.stack([projectors[name] for name in names]).sum(dim=0) @ _means(snap)


@part
def _restricted_hidden(snap: Snapshot, names: Names) -> Score:
    rows, line = _lines(snap, "all")
    return score(snap, (_neurons_in(snap, names) @ neuron_logit_map(snap))[line], rows)


@part
def _excluded_hidden(snap: Snapshot, names: Names) -> Score:
    rows, line = _lines(snap, "train")
    return score(snap, (neurons_of(snap)[rows] - _neurons_in(snap, names)[line]) @ neuron_logit_map(snap), rows)


def _keys(snap: Snapshot) -> Names:
    return key_irreps_of(snap.run)


@measure("nats", f"{CHUGHTAI}: total restricted loss, hidden")
def restricted_loss_irrep_hidden_all(snap: Snapshot) -> float:
    """Loss over all rows of the logits of the neurons' parts in the key irreps of ab; no means, biases or skip."""
    return _restricted_hidden(snap, _keys(snap))[0]


@measure("share", f"{CHUGHTAI}: total restricted loss, hidden")
def restricted_acc_irrep_hidden_all(snap: Snapshot) -> float:
    """Accuracy over all rows of those logits."""
    return _restricted_hidden(snap, _keys(snap))[1]


@measure("nats", f"{CHUGHTAI}: total excluded loss, hidden")
def excluded_loss_irrep_hidden_train(snap: Snapshot) -> float:
    """Loss over the training rows of the logits of the neurons without those parts; no biases, no skip connection."""
    return _excluded_hidden(snap, _keys(snap))[0]


@measure("share", f"{CHUGHTAI}: total excluded loss, hidden")
def excluded_acc_irrep_hidden_train(snap: Snapshot) -> float:
    """Accuracy over the training rows of those logits."""
    return _excluded_hidden(snap, _keys(snap))[1]


@measure("nats", f"{CHUGHTAI}: hidden restricted loss of an irrep")
def restricted_loss_irrep_hidden_all_by_irrep(snap: Snapshot) -> dict[int | str, float]:
    """Loss over all rows with the neurons' part in one key irrep alone."""
    return {name: _restricted_hidden(snap, (name,))[0] for name in _keys(snap)}


@measure("nats", f"{CHUGHTAI}: hidden excluded loss of an irrep")
def excluded_loss_irrep_hidden_train_by_irrep(snap: Snapshot) -> dict[int | str, float]:
    """Loss over the training rows without the neurons' part in one key irrep."""
    return {name: _excluded_hidden(snap, (name,))[0] for name in _keys(snap)}


def _cube(snap: Snapshot, names: Names) -> Float[Tensor, "n n_elements"]:
    """The centred logits' part along these irreps' chi(ab c^-1), one row an answer; 0 for elements off the group."""
    irreps, means = irreps_of(snap.run), _centred(snap).mean(dim=1)
    parts = [irreps.projectors[name] for name in names]
    found = torch.zeros(len(means), logits_of(snap).shape[1], dtype=torch.float64)
    found[:, irreps.order] = torch.stack([(means * P).sum() / P.square().sum() * P for P in parts]).sum(dim=0)
    return found


@part
def _restricted_logits(snap: Snapshot, names: Names) -> Score:
    rows, line = _lines(snap, "all")
    return score(snap, _cube(snap, names)[line], rows)


@part
def _excluded_logits(snap: Snapshot, names: Names) -> Score:
    rows, line = _lines(snap, "train")
    return score(snap, logits_of(snap)[rows] - _cube(snap, names)[line], rows)


@measure("nats", f"{CHUGHTAI}, their code: restricted loss of logits")
def restricted_loss_irrep_logit_all(snap: Snapshot) -> float:
    """Loss over all rows of the centred logits' parts along the key irreps' chi(ab c^-1)."""
    return _restricted_logits(snap, _keys(snap))[0]


@measure("share", f"{CHUGHTAI}, their code: restricted loss of logits")
def restricted_acc_irrep_logit_all(snap: Snapshot) -> float:
    """Accuracy over all rows of those logits."""
    return _restricted_logits(snap, _keys(snap))[1]


@measure("nats", f"{CHUGHTAI}, their code: excluded loss of logits")
def excluded_loss_irrep_logit_train(snap: Snapshot) -> float:
    """Loss over the training rows of the centred logits without those parts (on a cycle: excluded, logit 3D)."""
    return _excluded_logits(snap, _keys(snap))[0]


@measure("share", f"{CHUGHTAI}, their code: excluded loss of logits")
def excluded_acc_irrep_logit_train(snap: Snapshot) -> float:
    """Accuracy over the training rows of those logits."""
    return _excluded_logits(snap, _keys(snap))[1]


@measure("nats", f"{CHUGHTAI}, their code: logit restricted loss of an irrep")
def restricted_loss_irrep_logit_all_by_irrep(snap: Snapshot) -> dict[int | str, float]:
    """Loss over all rows with the logits' part along one key irrep alone."""
    return {name: _restricted_logits(snap, (name,))[0] for name in _keys(snap)}


@measure("nats", f"{CHUGHTAI}, their code: logit excluded loss of an irrep")
def excluded_loss_irrep_logit_train_by_irrep(snap: Snapshot) -> dict[int | str, float]:
    """Loss over the training rows without the logits' part along one key irrep."""
    return {name: _excluded_logits(snap, (name,))[0] for name in _keys(snap)}
