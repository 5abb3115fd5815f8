"""Multiplicative characters of Z_p: for prime p the nonzero residues are the powers of a generator g.

Reordered by discrete logarithm, a function on Z_p^* is a function on Z_{p-1} and multiplication is addition
of logarithms, so `mul` and `div` are diagonal in the Fourier basis of Z_{p-1}:
`fourier.frequency_energy(W[..., discrete_log_order(p), :])`. In the raw order of the residues the spectrum of
the same network looks like noise: a replication of Gromov 2023 (2301.02679) reports a raw Fourier measure of
0.073 for a network that has learned x*y. p - 1 is even for p > 2, so the frequency (p-1)/2, the quadratic
character, has a cosine and no sine. 0 has no logarithm and is treated separately (`zero_energy`).
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def primitive_root(p: int) -> int:
    """Return the smallest generator of Z_p^*, in 1..p-1 (1 for p = 2). Raises ValueError if p is not prime.

    Source: the standard test, g generates iff g^((p-1)/q) != 1 mod p for every prime q dividing p - 1.
    """
    if _prime_factors(p) != [p]:
        raise ValueError(f"multiplicative characters need a prime p, got {p}")
    exponents = [(p - 1) // q for q in _prime_factors(p - 1)]
    return next(g for g in range(1, p) if all(pow(g, e, p) != 1 for e in exponents))


def discrete_log_order(p: int) -> Int64[Tensor, " {p}-1"]:
    """Return g^0, g^1, ..., g^(p-2) mod p for g = primitive_root(p): `W[order]` is a function on Z_{p-1}.

    Raises ValueError if p is not prime.
    """
    g = primitive_root(p)
    powers = [1]
    for _ in range(p - 2):
        powers.append(powers[-1] * g % p)
    return torch.tensor(powers)


def zero_energy(W: Float[Tensor, "*batch p d"]) -> Float[Tensor, "*batch"]:
    """Return the share of ||W||^2 in the row of residue 0, which no character sees; 0 for a zero tensor."""
    rows = W.double().square().sum(dim=-1)
    total = rows.sum(dim=-1)
    return torch.where(total == 0, torch.zeros_like(total), rows[..., 0] / total)


def _prime_factors(n: int) -> list[int]:
    """Distinct prime factors of n in increasing order, by trial division; [] for n < 2."""
    factors = []
    q = 2
    while q * q <= n:
        if n % q == 0:
            factors.append(q)
            while n % q == 0:
                n //= q
        q += 1
    return [*factors, n] if n > 1 else factors
