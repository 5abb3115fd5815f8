"""Fourier on Z_n against a DFT written out in plain Python, closed forms, and models other people trained."""

import cmath
import math
import os
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from interp.maths.fourier import component_norms, constant_energy, frequencies, frequency_energy, real_basis

EPS = torch.finfo(torch.float64).eps
SIZES = [1, 2, 3, 4, 7, 12, 59, 112, 113]


def random_matrix(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dft_energy(W: torch.Tensor) -> list[float]:
    """Energy at k = 0..n//2 by definition, |sum_x W[x] e^(-2 pi i k x / n)|^2 / n, k and n - k together."""
    n, d = W.shape
    rows = W.tolist()
    energy = [0.0] * (n // 2 + 1)
    for k in range(n):
        for j in range(d):
            F = sum(rows[x][j] * cmath.exp(-2j * math.pi * k * x / n) for x in range(n))
            energy[min(k, n - k)] += abs(F) ** 2 / n
    return energy


@pytest.mark.parametrize("n", SIZES)
def test_real_basis_is_orthonormal(n):
    F = real_basis(n)
    assert F.shape == (n, n) and F.dtype == torch.float64
    assert_close(F @ F.T, torch.eye(n, dtype=torch.float64), rtol=0, atol=4 * n * EPS)


@pytest.mark.parametrize("n", SIZES)
def test_real_basis_rows_are_const_cos_sin_in_order(n):
    F = real_basis(n)
    for row in range(n):
        k = (row + 1) // 2
        wave = math.sin if row % 2 == 0 and row > 0 else math.cos
        expected = torch.tensor([wave(2 * math.pi * k * x / n) for x in range(n)], dtype=torch.float64)
        assert_close(F[row], expected / expected.norm(), rtol=0, atol=8 * n * EPS)


def test_even_n_ends_with_the_alternating_row():
    assert_close(real_basis(6)[-1], torch.tensor([1.0, -1, 1, -1, 1, -1], dtype=torch.float64) / 6**0.5)
    assert_close(real_basis(2), torch.tensor([[1.0, 1], [1, -1]], dtype=torch.float64) / 2**0.5)


def test_control_keeping_the_sine_at_half_of_even_n_breaks_orthonormality():
    n = 112
    x = torch.arange(n, dtype=torch.float64)
    noise = torch.sin(2 * torch.pi * (n // 2) * x / n)  # zero but for rounding
    row = noise / noise.norm()  # what normalising every row numerically makes of it
    overlaps = real_basis(n) @ row
    assert noise.norm() < 1e-10
    assert overlaps.abs().max() > 0.1  # a unit vector inside the span of the others: not a basis


def test_real_basis_dtype_and_refusal():
    assert real_basis(5, torch.float32).dtype == torch.float32
    with pytest.raises(ValueError, match="n >= 1, got n = 0"):
        real_basis(0)


@pytest.mark.parametrize(("n", "expected"), [(1, []), (2, [1]), (5, [1, 2]), (6, [1, 2, 3])])
def test_frequencies(n, expected):
    assert frequencies(n) == expected


@pytest.mark.parametrize("n", [1, 2, 3, 6, 11, 14])
def test_energy_matches_the_dft_written_out(n):
    W = random_matrix(n, 3, seed=n)
    expected = torch.tensor(dft_energy(W), dtype=torch.float64) / W.square().sum()
    assert_close(constant_energy(W), expected[0], rtol=1e2 * n * EPS, atol=0)
    assert_close(frequency_energy(W), expected[1:], rtol=1e2 * n * EPS, atol=0)


@pytest.mark.parametrize("n", [2, 7, 8, 113])
def test_component_norms_agree_with_energy_over_batches(n):
    W = random_matrix(2, 3, n, 5)
    norms, energy = component_norms(W), frequency_energy(W)
    assert norms.shape == (2, 3, n) and energy.shape == (2, 3, n // 2)
    share = norms.square() / W.square().sum((-2, -1))[..., None]
    for k in frequencies(n):
        assert_close(share[..., 2 * k - 1 : 2 * k + 1].sum(-1), energy[..., k - 1], rtol=1e2 * n * EPS, atol=0)
    assert_close(share[..., 0], constant_energy(W), rtol=1e2 * n * EPS, atol=0)
    assert_close(component_norms(W[1, 2]), norms[1, 2])


@pytest.mark.parametrize(("n", "k"), [(2, 1), (113, 56), (112, 56), (97, 1)])
def test_a_pure_wave_has_all_its_energy_at_its_frequency(n, k):
    x = torch.arange(n, dtype=torch.float64)
    W = torch.cos(2 * torch.pi * k * x / n)[:, None] * torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    energy = frequency_energy(W)
    assert energy.argmax() + 1 == k
    assert energy[k - 1] == pytest.approx(1, abs=n * EPS)
    permuted = W[torch.randperm(n, generator=torch.Generator().manual_seed(1))]
    if n > 2:  # control: the order of the residues matters
        assert frequency_energy(permuted).max() < 0.5


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_shares_sum_to_one_at_any_float32_scale(scale):
    W = (random_matrix(4, 12, 6) * scale).float()
    total = frequency_energy(W).sum(-1) + constant_energy(W)
    assert_close(total, torch.ones(4, dtype=torch.float64), rtol=1e2 * EPS, atol=0)


def test_zero_is_zero_and_nan_stays_nan():
    W = torch.zeros(2, 5, 3)
    assert frequency_energy(W).tolist() == [[0, 0], [0, 0]] and constant_energy(W).tolist() == [0, 0]
    W[1, 2, 0] = torch.nan
    assert frequency_energy(W)[1].isnan().all() and (frequency_energy(W)[0] == 0).all()


THIRD_PARTY = os.environ.get("GROKLENS_THIRD_PARTY")
FILES = {"no_wd": "nanda_mod_addition_no_wd.pth", "low_precision": "nanda_low_precision_mod_addition.pth"}


@pytest.fixture(params=FILES)
def nanda(request) -> tuple[str, dict[str, torch.Tensor]]:
    if THIRD_PARTY is None or not (path := Path(THIRD_PARTY) / FILES[request.param]).exists():
        pytest.skip(f"set GROKLENS_THIRD_PARTY to the folder with {FILES[request.param]}")
    return request.param, torch.load(path, map_location="cpu", weights_only=True)["model"]


# Recomputed independently of this package from the published weights, to the digits given.
W_E_SHARES = {
    "no_wd": {36: 0.209, 52: 0.162, 41: 0.043, 26: 0.031},
    "low_precision": {23: 0.341, 6: 0.230, 39: 0.215, 3: 0.089, 35: 0.073},
}
W_L_SHARES = {"no_wd": {}, "low_precision": {39: 0.244, 23: 0.171, 3: 0.094, 6: 0.082}}
W_L_TOTAL = {"no_wd": ([36, 52], 0.834), "low_precision": ([23, 6, 39, 3], 0.592)}


def test_nanda_embedding_energy(nanda):
    name, weights = nanda
    energy = frequency_energy(weights["embed.W_E"].T[:113])
    expected = W_E_SHARES[name]
    assert (energy.topk(len(expected)).indices + 1).tolist() == list(expected)
    assert {k: round(energy[k - 1].item(), 3) for k in expected} == expected
    with_equals = frequency_energy(weights["embed.W_E"].T)  # control: the "=" row shifts the frequencies
    assert {k: round(with_equals[k - 1].item(), 3) for k in expected} != expected


def test_nanda_neuron_logit_map_energy(nanda):
    name, weights = nanda
    W_L = weights["unembed.W_U"][:, :113].T @ weights["blocks.0.mlp.W_out"]  # [p, d_mlp]
    energy = frequency_energy(W_L)
    assert {k: round(energy[k - 1].item(), 3) for k in W_L_SHARES[name]} == W_L_SHARES[name]
    keys, total = W_L_TOTAL[name]
    assert round(sum(energy[k - 1].item() for k in keys), 3) == total
