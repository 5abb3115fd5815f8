"""Measures of the sparsity of a spectrum.

Sources: Hurley and Rickard 2009 (0811.4706), for the Gini coefficient, which Nanda et al. 2023 (2301.05217) report of
Fourier norms; the participation ratio and the entropy are the usual ones of a distribution. All are NaN for a
spectrum of zeros.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def gini(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Gini coefficient of non-negative numbers: 0 if all are equal, 1 - 1/n if all but one are 0.

    G = 1 - 2 sum_i x_(i) / |x|_1 (n - i + 1/2) / n, with x_(1) <= ... <= x_(n) (Hurley and Rickard 2009, equation 1).
    """
    n = x.shape[-1]
    ordered = x.double().sort(dim=-1).values
    weight = (n - torch.arange(1, n + 1, dtype=torch.float64) + 0.5) / n
    return 1 - 2 * (ordered * weight).sum(dim=-1) / ordered.sum(dim=-1)


def participation_ratio(energy: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Participation ratio (sum e)^2 / sum e^2: n for uniform energy, 1 if one component holds all energy."""
    return energy.double().sum(dim=-1).square() / energy.double().square().sum(dim=-1)


def spectral_entropy(energy: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Entropy -sum q log q of the energy shares q, in nats: log n for uniform energy, 0 if one component has all."""
    share = energy.double() / energy.double().sum(dim=-1, keepdim=True)
    return torch.special.entr(share).sum(dim=-1)
