"""Closed forms of logits [n, n, n] for operands a, b and answers c of Z_n: a clock's and those of pizzas.

Source: Zhong et al. 2023 (2306.17844), section 2 and appendix, and their notebook, which compares each form with the
logits of one circle. w = 2 pi k / n throughout.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Form = Callable[[int, int], Float[Tensor, "n n n"]]
"""Logits [a, b, c] as a function of n and k."""


def _angles(n: int, k: int) -> Float[Tensor, " {n}"]:
    return 2 * torch.pi * (k * torch.arange(n) % n).double() / n


def clock(n: int, k: int) -> Float[Tensor, "{n} {n} {n}"]:
    """cos w(a + b - c)."""
    place = torch.arange(n)
    return _angles(n, k).cos()[(place[:, None, None] + place[:, None] - place) % n]


def _sums(n: int, k: int) -> tuple[Tensor, Tensor]:
    """cos wa + cos wb and sin wa + sin wb, [n, n, 1]."""
    angle = _angles(n, k)
    return tuple((wave[:, None] + wave)[..., None] for wave in (angle.cos(), angle.sin()))  # type: ignore[return-value]


def pizza(n: int, k: int) -> Float[Tensor, "{n} {n} {n}"]:
    """|cos(wc/2) X + sin(wc/2) Y| - |cos(wc/2) Y - sin(wc/2) X|, X = cos wa + cos wb, Y = sin wa + sin wb."""
    X, Y = _sums(n, k)
    half = torch.pi * k * torch.arange(n).double() / n
    cos, sin = half.cos(), half.sin()
    return (cos * X + sin * Y).abs() - (cos * Y - sin * X).abs()


def four_neuron_pizza(n: int, k: int) -> Float[Tensor, "{n} {n} {n}"]:
    """(|X| - |Y|) cos wc + (|X + Y| - |X - Y|) sin wc / sqrt 2: the pizza with absolute values at four phases."""
    X, Y = _sums(n, k)
    angle = _angles(n, k)
    return (X.abs() - Y.abs()) * angle.cos() + ((X + Y).abs() - (X - Y).abs()) * angle.sin() / 2**0.5


def accompanying_pizza(n: int, k: int) -> Float[Tensor, "{n} {n} {n}"]:
    """-(cos wc (cos 2wa + cos 2wb) + sin wc (sin 2wa + sin 2wb)), where 2w is this circle's 2 pi k / n.

    The logits that a circle contributes at half its frequency. Raises ValueError for even n, where no half exists.
    """
    if n % 2 == 0:
        raise ValueError(f"a frequency of Z_{n} has no half: accompanying pizzas need an odd n")
    X, Y = _sums(n, k)
    angle = _angles(n, k * (n + 1) // 2)
    return -(X * angle.cos() + Y * angle.sin())


def explained(logits: Float[Tensor, "*shape"], form: Float[Tensor, "*shape"]) -> float:
    """Share of the logits' variance that the form explains, both scaled to mean 0 and variance 1: 2 corr - 1.

    The published scores are defined this way; a fitted scale would explain corr^2. NaN where either is constant.
    """
    x, y = logits.double().flatten(), form.double().flatten()
    x, y = x - x.mean(), y - y.mean()
    return float(2 * (x @ y) / (x.norm() * y.norm()) - 1)
