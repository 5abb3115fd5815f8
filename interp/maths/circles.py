"""A score for how circular a two-dimensional map of Z_n is, and the chains of residues that go round its ring.

Source: Power et al. 2022 (2201.02177), Fig. 3 right: a t-SNE map of the output-layer rows of a modular
addition network, in which lines join n and n + 8 and colour is the residue mod 8. Power et al. give no score; the
one here is ours: the mean resultant length of directional statistics (the quantity of the Rayleigh test), taken
at every frequency.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .fourier import real_basis

_NULL_QUANTILE = 0.95


def circle_score(
    maps: Float[Tensor, "*batch n 2"],
) -> tuple[Float[Tensor, "*batch"], Int64[Tensor, "*batch"]]:
    """Return (score, k): how nearly points 0..n-1 follow one another round a ring, in how many turns.

    theta_j is the angle of point j round the centroid; score = max over k = 1..n//2 and both directions of
    |mean_j exp(i (theta_j -+ 2 pi k j / n))|, in [0, 1]. It is 1 iff theta advances by exactly +-k n-ths of a
    turn from each point to the next; radii do not enter, and where gcd(k, n) > 1 the points share n / gcd
    directions. A point on the centroid has no angle and counts as 0. Float64. Random maps score about
    sqrt(ln(n) / n): compare with `circle_score_null`. Raises ValueError for n < 2.
    """
    n = maps.shape[-2]
    if n < 2:
        raise ValueError(f"a circle needs at least 2 points, got a map of {n}")
    centred = maps.double() - maps.double().mean(dim=-2, keepdim=True)
    direction = torch.sgn(torch.view_as_complex(centred.contiguous()))  # exp(i theta), 0 on the centroid
    amplitude = torch.fft.fft(direction).abs()[..., 1:] / n  # frequencies 1..n-1: k and, backwards, n - k
    score, index = amplitude.max(dim=-1)
    return score.clamp(max=1), torch.minimum(index + 1, n - 1 - index)


def circle_score_null(n: int) -> float:
    """Return the 95% point of `circle_score` for n points with independent uniform angles (no structure).

    Each of the n - 1 amplitudes is then nearly Rayleigh, P(amplitude > t) = exp(-n t^2), and they are nearly
    independent, so P(max <= t) = (1 - exp(-n t^2))^(n-1); solved for 0.95. Capped at 1, which it reaches for
    n <= 4: no map of so few points is evidence of a circle. Raises ValueError for n < 2.
    """
    if n < 2:
        raise ValueError(f"a circle needs at least 2 points, got {n}")
    tail = 1 - _NULL_QUANTILE ** (1 / (n - 1))
    return min(1.0, math.sqrt(-math.log(tail) / n))


def chain_step(n: int, k: int) -> int:
    """Return the step s, the smaller of s and n - s, with s k = +-1 mod n.

    On a ring of frequency k, j and j + s are neighbours: the chain 0, s, 2s, ... walks round it once. Raises
    ValueError when gcd(k, n) != 1, for then the ring has fewer than n places. Source: the chains of Power
    et al. 2022, Fig. 3; their step of 8, if mod 97, belongs to k = 12.
    """
    if math.gcd(k, n) != 1:
        raise ValueError(f"frequency {k} is not coprime to n = {n}: no step walks round its ring once")
    step = pow(k, -1, n)
    return min(step, n - step)


def chain_order(n: int, step: int) -> list[list[int]]:
    """Return the closed walks j, j + step, j + 2 step, ... mod n, each ending where it began.

    There are gcd(n, step) of them, together covering 0..n-1, starting at 0, 1, ...: one when step is coprime
    to n. Raises ValueError for a step that is a multiple of n, which goes nowhere. Source: the lines of Power
    et al. 2022, Fig. 3.
    """
    if step % n == 0:
        raise ValueError(f"a step of {step} goes nowhere mod {n}: use a step in 1..{n - 1}")
    n_walks = math.gcd(n, step)
    return [[(start + i * step) % n for i in range(n // n_walks + 1)] for start in range(n_walks)]


def circle_points(W: Float[Tensor, "s n d"], k: int) -> Float[Tensor, "s n 2"]:
    """Rows of each matrix along the two directions in which the last matrix carries cos and sin of k cycles.

    The directions stay those of the last matrix, so that a matrix without structure gives a cloud rather than a circle
    that its own directions would pick from noise. Each matrix is centred over its rows. The second coordinate is 0 at
    k = n/2, which has no sine, and both are 0 where the last matrix has no part at k. In units of W.
    """
    n = W.shape[1]
    directions = real_basis(n)[2 * k - 1 : 2 * k + 1] @ W[-1].double()
    norms = directions.norm(dim=1, keepdim=True)
    unit = torch.where(norms > 0, directions / norms, torch.zeros_like(directions)).to(W.dtype)
    points = (W - W.mean(dim=1, keepdim=True)) @ unit.T
    return torch.nn.functional.pad(points, (0, 2 - len(unit)))
