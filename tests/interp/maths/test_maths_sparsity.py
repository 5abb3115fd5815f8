"""The number of components on which a spectrum lives: closed forms and a plain loop."""

import math

import pytest
import torch


def test_gini_of_closed_forms():
    from interp.maths.sparsity import gini

    assert float(gini(torch.ones(7))) == pytest.approx(0)
    assert float(gini(torch.tensor([0.0, 0, 0, 0, 5]))) == pytest.approx(1 - 1 / 5)
    # mean absolute difference over twice the mean, the other form of the same number
    x = torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6])
    pairs = sum(abs(float(a - b)) for a in x for b in x) / len(x) ** 2
    assert float(gini(x)) == pytest.approx(pairs / (2 * float(x.mean())))
    assert float(gini(x)) == pytest.approx(float(gini(7 * x.flip(0))))
    assert float(gini(x + 1)) < float(gini(x)) - 0.01  # the control


def test_participation_ratio_and_entropy_count_even_components():
    from interp.maths.sparsity import participation_ratio, spectral_entropy

    for n in (1, 3, 8):
        e = torch.zeros(10)
        e[:n] = 0.25
        assert float(participation_ratio(e)) == pytest.approx(n)
        assert float(spectral_entropy(e)) == pytest.approx(math.log(n), abs=1e-12)


def test_a_spectrum_of_zeros_has_none():
    from interp.maths.sparsity import gini, participation_ratio, spectral_entropy

    for measure in (gini, participation_ratio, spectral_entropy):
        assert math.isnan(float(measure(torch.zeros(4))))
