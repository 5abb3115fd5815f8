"""Parts of a snapshot: logits and neurons as functions of the pair of elements."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.maths.pairs import line_means, variance_explained
from interp.runs.snapshot import Snapshot

from .activations import logits_of, neurons_of
from .irreps import irreps_of
from .memo import part
from .rows import law_of


@part
def logit_means(snap: Snapshot) -> Float[Tensor, "n n_elements"]:
    """Mean logits over the pairs with the same answer: one row per answer, in the order of the group."""
    return line_means(logits_of(snap), irreps_of(snap.run).by_answer)


@part
def clock_profile(snap: Snapshot) -> Float[Tensor, " n"]:
    """g(d): mean over pairs of the logit of the answer's d-th successor along the cycle, centred over the cycle.

    The Fourier coefficients of g are those of the logits along cos and sin of w(c - answer).
    """
    law = law_of(snap.run)
    means = logit_means(snap)[:, law.cycle.order]
    centred = means - means.mean(dim=1, keepdim=True)
    shift = (torch.arange(law.n)[:, None] + torch.arange(law.n)) % law.n
    return centred.gather(1, shift).mean(dim=0)


@part
def line_logits(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Logits [line, pair of the line, element], lines and elements in the order of the group (the cycle, if any)."""
    irreps = irreps_of(snap.run)
    n = len(irreps.order)
    return logits_of(snap).index_select(0, irreps.by_answer.flatten()).index_select(1, irreps.order).view(n, n, n)


@part
def centred_logits(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Logits as in ``line_logits``, less the mean over the elements of each pair's logits."""
    logits = line_logits(snap)
    return logits - logits.mean(dim=-1, keepdim=True)


@part
def neuron_means_by_answer(snap: Snapshot) -> Float[Tensor, "n d_mlp"]:
    """Mean neurons over the pairs with the same answer: one row per answer, in the order of the group."""
    return line_means(neurons_of(snap), irreps_of(snap.run).by_answer)


@part
def neuron_means(snap: Snapshot) -> dict[str, Float[Tensor, "n d_mlp"]]:
    """Means of the neurons over the pairs with the same "first" element, "second" element, "total" or "difference".

    The total is the place of the answer in the cycle; see ``Law`` for the difference.
    """
    law, neurons = law_of(snap.run), neurons_of(snap)
    lines = {"first": law.by_a, "second": law.by_b, "difference": law.by_difference}
    means = {name: line_means(neurons, rows) for name, rows in lines.items()}
    return means | {"total": neuron_means_by_answer(snap)}


@part
def neuron_fve(snap: Snapshot) -> Float[Tensor, "n_freqs d_mlp"]:
    """Share of each neuron's variance at each frequency: see ``maths.pairs.variance_explained``."""
    law, means = law_of(snap.run), neuron_means(snap)
    neurons = neurons_of(snap)
    if len(neurons) != law.n**2:
        neurons = neurons.index_select(0, law.by_a.flatten())
    mean = means["first"].mean(dim=0)
    variance = (neurons - mean.to(neurons.dtype)).square().mean(dim=0).double()
    return variance_explained(**means, variance=variance)


@part
def best_frequency(snap: Snapshot) -> tuple[Int64[Tensor, " d_mlp"], Float[Tensor, " d_mlp"]]:
    """The frequency k that explains most of each neuron's variance, and the share explained."""
    best = neuron_fve(snap).max(dim=0)
    return best.indices + 1, best.values
