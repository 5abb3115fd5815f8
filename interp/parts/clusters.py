"""Parts of a snapshot: neurons by the frequency, or the irrep, that explains most of their variance."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.maths.fourier import frequencies, real_basis
from interp.maths.pairs import line_means
from interp.runs.snapshot import Snapshot

from .activations import neurons_of
from .irreps import Name, irreps_of
from .memo import part
from .pairs import neuron_fve, neuron_means
from .rows import has_law, law_of, table_of


@part
def unit_fve(snap: Snapshot) -> tuple[tuple[Name, ...], Float[Tensor, "n_units d_mlp"]]:
    """Names of the frequencies, or of the irreps of a group, and the share of each neuron's variance in each of them.

    A frequency's share is that of ``neuron_fve``; an irrep's that of functions of a, of b and of ab in its matrix
    coefficients, the three of Chughtai et al. 2023 (2302.03025) added up.

    Raises:
        NotApplicable: the operation has neither, or there are no neurons.
    """
    if has_law(snap.run):
        return tuple(frequencies(law_of(snap.run).n)), neuron_fve(snap)
    irreps, n = irreps_of(snap.run), table_of(snap.run).n
    neurons = neurons_of(snap)
    grid = neurons.view(n, n, -1)[irreps.order][:, irreps.order]
    means = [grid.mean(dim=1).double(), grid.mean(dim=0).double(), line_means(neurons, irreps.by_answer)]
    variance = neurons.double().var(dim=0, correction=0)
    power = torch.stack(
        [torch.stack([(basis @ M).square().sum(dim=0) for M in means]).sum(dim=0) for basis in irreps.bases.values()]
    )
    return tuple(irreps.bases), torch.where(variance > 0, power / n / variance, 0.0)


@part
def unit_clusters(snap: Snapshot, threshold: float) -> dict[Name, list[int]]:
    """Neurons by the frequency or irrep that explains more than ``threshold`` of their variance, large clusters first.

    On a cycle the neurons of a cluster are in the order of their phase, the place of a at which their wave peaks.

    Raises:
        NotApplicable: as ``unit_fve``.
    """
    names, fve = unit_fve(snap)
    share, best = fve.max(dim=0)
    clusters: dict[Name, list[int]] = {}
    for i in best[share > threshold].bincount().argsort(descending=True, stable=True).tolist():
        neurons = ((best == i) & (share > threshold)).nonzero().flatten()
        if len(neurons):
            clusters[names[i]] = neurons[_phase(snap, i, neurons).argsort(stable=True)].tolist()
    return clusters


def _phase(snap: Snapshot, i: int, neurons: Tensor) -> Float[Tensor, " members"]:
    """Phase of each neuron's mean over b, as a function of a, at frequency i + 1; on a group zeros."""
    if not has_law(snap.run):
        return torch.zeros(len(neurons))
    basis = real_basis(law_of(snap.run).n)[2 * i + 1 : 2 * i + 3]
    waves = basis @ neuron_means(snap)["first"][:, neurons]
    return torch.atan2(waves[-1] if len(basis) == 2 else torch.zeros_like(waves[0]), waves[0])
