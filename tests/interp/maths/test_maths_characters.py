"""Multiplicative characters against brute force over the powers of every residue."""

import math

import pytest
import torch
from torch.testing import assert_close

from interp.maths.characters import discrete_log_order, primitive_root, zero_energy
from interp.maths.fourier import frequency_energy

PRIMES = [2, 3, 5, 7, 23, 41, 97, 113, 191]


def discrete_log(p: int) -> torch.Tensor:
    """The logarithm of each residue to the smallest generator, found by counting up; -1 at residue 0."""
    g = next(g for g in range(1, p) if generates(g, p))
    return torch.tensor([-1, *(next(e for e in range(p) if pow(g, e, p) == a) for a in range(1, p))])


def generates(g: int, p: int) -> bool:
    value, seen = 1, set()
    for _ in range(p):
        seen.add(value)
        value = value * g % p
    return seen == set(range(1, p))


@pytest.mark.parametrize("p", PRIMES)
def test_primitive_root_is_the_smallest_generator(p):
    g = primitive_root(p)
    assert generates(g, p)
    assert not any(generates(smaller, p) for smaller in range(1, g))  # and the oracle can say no


def logarithms(p):
    """Logarithm of each residue to the primitive root, by trying exponents; -1 for 0, which has none."""
    g = primitive_root(p)
    return torch.tensor([-1, *(next(e for e in range(p - 1) if pow(g, e, p) == a) for a in range(1, p))])


@pytest.mark.parametrize("p", [-7, 0, 1, 4, 91, 96, 121])
def test_only_primes(p):
    for function in (primitive_root, discrete_log_order):
        with pytest.raises(ValueError, match=f"prime p, got {p}"):
            function(p)


@pytest.mark.parametrize("p", PRIMES)
def test_the_order_is_that_of_the_powers(p):
    order = discrete_log_order(p)
    assert order.shape == (p - 1,) and sorted(order.tolist()) == list(range(1, p))
    assert logarithms(p)[order].tolist() == list(range(p - 1))


def test_smallest_prime():
    assert primitive_root(2) == 1
    assert discrete_log_order(2).tolist() == [1]


@pytest.mark.parametrize("p", [23, 113])
def test_multiplication_is_addition_of_logs(p):
    log = logarithms(p)
    a = torch.arange(1, p)
    product = a[:, None] * a % p
    assert torch.equal(log[product], (log[a][:, None] + log[a]) % (p - 1))
    assert not torch.equal(log[(a[:, None] + a) % p], (log[a][:, None] + log[a]) % (p - 1))  # control


@pytest.mark.parametrize(("p", "k"), [(113, 5), (113, 56), (3, 1)])
def test_a_character_is_one_frequency_in_log_order_only(p, k):
    log = logarithms(p).double()
    W = torch.cos(2 * math.pi * k * log / (p - 1))[:, None]
    W[0] = 0
    assert frequency_energy(W[discrete_log_order(p)])[k - 1].item() == pytest.approx(1)
    if p > 3:  # control: spread over the additive frequencies
        assert frequency_energy(W).max() < 0.2


def test_half_frequency_is_the_legendre_symbol():
    p = 23
    squares = {a * a % p for a in range(1, p)}
    legendre = torch.tensor([[1.0 if a in squares else -1.0] for a in range(p)])
    energy = frequency_energy(legendre[discrete_log_order(p)])
    assert energy[(p - 1) // 2 - 1].item() == pytest.approx(1)


def test_zero_energy_by_hand_and_over_batches():
    W = torch.zeros(3, 5, 2)
    W[0, 0] = torch.tensor([3.0, 4.0])
    W[0, 4, 0] = 5.0
    W[1, 3, 1] = 1.0
    assert_close(zero_energy(W), torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))
    assert zero_energy(W[0].flip(0)) == 0.5 and zero_energy(W[0].roll(1, 0)) == 0.5
    assert zero_energy(W[0].roll(2, 0)) == 0  # control: it is the row of 0 that counts
    assert zero_energy(torch.full((2, 2), torch.nan)).isnan()
