"""Key frequencies by every rule in use in the literature."""

import torch

from interp.maths.fourier import frequency_energy
from interp.parts.embeddings import embedding_components
from interp.parts.keyfreqs import KEY_SHARE, key_freqs_of, logit_cosines
from interp.parts.memo import NotApplicable, part
from interp.parts.pairs import best_frequency, neuron_fve
from interp.runs.snapshot import Snapshot

from .registry import measure

FVE = 0.85
"""A neuron belongs to a frequency that explains this share of its variance (Nanda et al. 2023)."""
REPTHEORY = 0.005
"""Cosine above which a frequency is key in Chughtai et al.'s code."""


@measure("share of logit energy", f"ours: at least {KEY_SHARE:.0%} of the centred logits' energy at the last snapshot")
def key_freqs(snap: Snapshot) -> dict[int, float]:
    """Share of the snapshot's centred logit energy along cos w(a+b-c), for the run's key frequencies."""
    share = logit_cosines(snap).square()
    return {k: float(share[k - 1]) for k in key_freqs_of(snap.run).ks}


def counts(freqs: torch.Tensor) -> dict[int, float]:
    """Number of occurrences of each frequency."""
    values, number = freqs.unique(return_counts=True)
    return {int(k): float(count) for k, count in zip(values, number, strict=True)}


@measure("neurons", "Nanda et al. 2023 (2301.05217), their notebook: no threshold, so one stray neuron makes a key")
def key_freqs_nanda(snap: Snapshot) -> dict[int, float]:
    """Number of neurons whose variance each frequency explains best, for frequencies with at least one neuron."""
    return counts(_live(snap).argmax(dim=0) + 1)


@measure("neurons", "Nanda et al. 2023, their calculate_key_freqs: as key_freqs_nanda, without the last frequency")
def key_freqs_nanda_code(snap: Snapshot) -> dict[int, float]:
    """Number of neurons whose variance each frequency explains best among the frequencies below n//2."""
    live = _live(snap)
    if len(live) < 2:
        raise NotApplicable("this definition leaves out the last frequency, and there is only one")
    return counts(live[:-1].argmax(dim=0) + 1)


@measure("neurons", "the clusters of TransformerLens' Grokking_Demo, whose own key frequencies are read off a plot")
def key_freqs_tl_demo(snap: Snapshot) -> dict[int, float]:
    """Key frequencies, each with the number of neurons of which it explains more than 85% of the variance."""
    k, share = best_frequency(snap)
    return counts(k[share > FVE])


@measure("cosine", f"Chughtai et al. 2023 (2302.03025), their code: cosine above {REPTHEORY}")
def key_freqs_reptheory(snap: Snapshot) -> dict[int, float]:
    """Cosine of the logits with cos w(a+b-c) for each frequency where it is above 0.005 at this snapshot."""
    return {k: float(cos) for k, cos in enumerate(logit_cosines(snap), start=1) if cos > REPTHEORY}


@measure("principal components", "Zhong et al. 2023 (2306.17844), their notebook")
def key_freqs_pizza(snap: Snapshot) -> dict[int, float]:
    """Number of the first 8 principal components of W_E in which each frequency is the strongest."""
    scores = embedding_components(snap)[:, :8]
    return counts(frequency_energy(scores.T[..., None]).argmax(dim=1) + 1)


@part
def _live(snap: Snapshot) -> torch.Tensor:
    """Share of the variance at each frequency, of the neurons that vary at all: [n_freqs, n_live]."""
    fve = neuron_fve(snap)
    return fve[:, fve.sum(dim=0) > 0]
