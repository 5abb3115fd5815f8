"""Functions of two elements of Z_n: means along lines, and their parts at some frequencies.

The n^2 pairs fall into n lines of n pairs in four ways: by the first element, by the second, by their sum, by their
difference. A function's part at cos and sin of frequency k along a line's number (the terms cos w(a+b), sin w(a+b) of
Nanda et al. 2023, 2301.05217, when lines are sums) is found from its n line means alone, so no n^2 x n^2 projector is
needed.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .fourier import real_basis


def line_means(X: Float[Tensor, "rows ..."], lines: Int64[Tensor, "n size"]) -> Float[Tensor, "n ..."]:
    """Mean of X over the rows of each line, returned in float64; sums are taken in X's precision."""
    grouped = X.index_select(0, lines.flatten()).view(*lines.shape, *X.shape[1:])  # five times as fast as X[lines]
    return grouped.mean(dim=1).double()


def at_frequencies(M: Float[Tensor, "n ..."], ks: Iterable[int]) -> Float[Tensor, "n ..."]:
    """Part of M at these frequencies (1..n//2), M being read as functions on Z_n down its first axis."""
    basis = frequency_rows(len(M), ks)
    return (basis.T @ (basis @ M.double().flatten(1))).view_as(M) if M.ndim > 1 else basis.T @ (basis @ M.double())


def frequency_rows(n: int, ks: Iterable[int]) -> Float[Tensor, "rows {n}"]:
    """Rows of the real Fourier basis of Z_n at these frequencies: cos and sin, for k = n/2 the cosine alone.

    Raises:
        ValueError: a frequency that is not in 1..n//2.
    """
    rows = []
    for k in ks:
        if not 1 <= k <= n // 2:
            raise ValueError(f"frequency {k} is not one of Z_{n}: give 1 to {n // 2}")
        rows += [2 * k - 1] if 2 * k == n else [2 * k - 1, 2 * k]
    return real_basis(n)[rows]


def frequency_power(M: Float[Tensor, "n ..."]) -> Float[Tensor, "n_freqs ..."]:
    """Sum of squares of M at each frequency 1..n//2, down its first axis."""
    n = len(M)
    squares = (real_basis(n)[1:] @ M.double().flatten(1)).square()
    whole = squares[: n - 1 - (n % 2 == 0)]
    power = whole[0::2] + whole[1::2]
    power = torch.cat([power, squares[-1:]]) if n % 2 == 0 else power
    return power.view(-1, *M.shape[1:])


def variance_explained(
    first: Float[Tensor, "n m"],
    second: Float[Tensor, "n m"],
    total: Float[Tensor, "n m"],
    difference: Float[Tensor, "n m"],
    variance: Float[Tensor, " m"],
) -> Float[Tensor, "n_freqs m"]:
    """Share of each function's variance over all pairs at each frequency: its linear and its quadratic terms.

    A frequency k has 8 terms (3 for k = n/2): cos and sin of w a, of w b, and their four products, which are
    combinations of cos and sin of w(a+b) and of w(a-b). Source: ``calculate_neuron_freqs`` in the notebook of Nanda et
    al. 2023, which divides by 0 for a neuron that never fires; its share is 0 here.

    Args:
        first, second, total, difference: means of the functions over the pairs with the same first element, second
            element, sum and difference.
        variance: population variance of each function over all pairs.
    """
    n = len(first)
    power = frequency_power(first) + frequency_power(second) + frequency_power(total)
    quadratic = frequency_power(difference)
    if n % 2 == 0:
        quadratic[-1] = 0  # the alternating functions of the sum and of the difference are equal
    share = (power + quadratic) / n
    return torch.where(variance > 0, share / variance, 0.0)
