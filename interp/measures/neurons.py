"""Frequencies of the last layer's neurons, and the share of a neuron's variance that its best one explains."""

from interp.parts.pairs import best_frequency, neuron_fve
from interp.runs.snapshot import Snapshot

from .frequencies import FVE, key_freqs_tl_demo
from .registry import measure

SOURCE = "Nanda et al. 2023 (2301.05217), their notebook; clusters as in TransformerLens' Grokking_Demo"


@measure("share of neurons", SOURCE, chart="shares")
def neuron_fraction_fve85(snap: Snapshot) -> float:
    """Share of neurons with more than 85% of their variance over pairs explained by one frequency."""
    return float((best_frequency(snap)[1] > FVE).double().mean())


@measure("neurons", SOURCE)
def neuron_clusters(snap: Snapshot) -> dict[int, float]:
    """Number of neurons with more than 85% of their variance over pairs explained by a frequency, by frequency."""
    return key_freqs_tl_demo(snap)


@measure("share of variance", SOURCE)
def neuron_fve_median(snap: Snapshot) -> float:
    """Median over neurons of the share of variance that their best frequency explains."""
    return float(best_frequency(snap)[1].quantile(0.5))


@measure("share of neurons", "neurons that never vary: Nanda et al.'s code divides by their variance")
def dead_neuron_share(snap: Snapshot) -> float:
    """Share of neurons with the same activation on every pair."""
    return float((neuron_fve(snap).sum(dim=0) == 0).double().mean())
