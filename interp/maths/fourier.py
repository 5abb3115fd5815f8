"""Fourier analysis on Z_n: the orthonormal real basis, component norms, energy per frequency.

Source of the basis and of the "Fourier norm": Nanda et al. 2023 (2301.05217). Their code
(`transformers.py` of progress-measures-paper) normalises every row numerically; for even n that divides the
sine at k = n/2, which is zero up to rounding, by its own norm. Here that row does not exist.

A frequency k counts cycles round the n residues, k = 1..n//2; k = 0 is the constant. Everything is computed
and returned in float64, so that the squares of a collapsed float32 matrix do not underflow.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def frequencies(n: int) -> list[int]:
    """Return the frequencies of Z_n without the constant: 1..n//2, the order of `frequency_energy`."""
    return list(range(1, n // 2 + 1))


def real_basis(n: int, dtype: torch.dtype = torch.float64) -> Float[Tensor, "{n} {n}"]:
    """Return the orthonormal real Fourier basis of Z_n, row by row: const, cos 1, sin 1, cos 2, ...

    For even n the last row is the cosine at k = n/2, the alternating sign over sqrt(n). Computed in float64,
    then cast to `dtype`. Raises ValueError for n < 1. Source: Nanda et al. 2023, their code; cosine first.
    """
    if n < 1:
        raise ValueError(f"the Fourier basis of Z_n needs n >= 1, got n = {n}")
    x = torch.arange(n)
    k = torch.arange(1, (n - 1) // 2 + 1)
    angle = 2 * torch.pi * (torch.outer(k, x) % n).double() / n  # reduced mod n first: exact for any k
    pairs = torch.stack([angle.cos(), angle.sin()], dim=1).reshape(-1, n) * (2 / n) ** 0.5
    constant = torch.full((1, n), n**-0.5, dtype=torch.float64)
    alternating = (1 - 2 * (x % 2)).double()[None] * n**-0.5
    rows = [constant, pairs, alternating] if n % 2 == 0 else [constant, pairs]
    return torch.cat(rows).to(dtype)


def component_norms(W: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch n"]:
    """Return the L2 norm over d of each Fourier component of W, in the order of `real_basis`, units of W.

    Source: Nanda et al. 2023, the "Fourier norm" of W_E (its p number rows) and of the neuron-logit map.
    """
    basis = real_basis(W.shape[-2]).to(W.device)
    return torch.linalg.vector_norm(basis @ W.double(), dim=-1)


def frequency_energy(W: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch n//2"]:
    """Return the share of ||W||^2 at each frequency k = 1..n//2, e_k = (||cos_k||^2 + ||sin_k||^2) / ||W||^2.

    Dimensionless; the denominator includes the constant, so these and `constant_energy` sum to 1. A tensor of
    zeros gives zeros; one with NaN or infinities gives NaN. Source: the squared Fourier norms of Nanda et al.
    2023, summed over the two components of a frequency.
    """
    return _energy_shares(W)[..., 1:]


def constant_energy(W: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch"]:
    """Return the share of ||W||^2 in the constant component (k = 0), the mean row; see `frequency_energy`."""
    return _energy_shares(W)[..., 0]


def _energy_shares(W: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch n//2+1"]:
    """Shares of ||W||^2 at k = 0..n//2, by Parseval: rfft drops the conjugate half, hence the factor 2."""
    n = W.shape[-2]
    W = W.double()
    multiplicity = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64, device=W.device)
    multiplicity[0] = 1
    if n % 2 == 0:
        multiplicity[-1] = 1
    energy = torch.fft.rfft(W, dim=-2).abs().square().sum(dim=-1) * multiplicity / n
    total = W.square().sum(dim=(-2, -1)).unsqueeze(-1)
    return torch.where(total == 0, torch.zeros_like(energy), energy / total)
