"""Functions of two elements, against the definitions: dense projectors and 2-D transforms by plain loops."""

import math

import pytest
import torch


@pytest.fixture
def lines():
    """``lines(n)``: rows by first element, second element, sum and difference."""

    def make(n):
        pairs = [(a, b) for a in range(n) for b in range(n)]
        found = {}
        keys = {
            "first": lambda a, b: a,
            "second": lambda a, b: b,
            "total": lambda a, b: (a + b) % n,
            "difference": lambda a, b: (a - b) % n,
        }
        for name, key in keys.items():
            found[name] = torch.tensor([[i for i, (a, b) in enumerate(pairs) if key(a, b) == t] for t in range(n)])
        return found

    return make


def waves(n, k, t):
    """Unit cos and sin of frequency k at ``t`` [rows], without the zero sine of k = n/2."""
    angle = 2 * math.pi * k * t.double() / n
    found = [angle.cos()] if 2 * k == n else [angle.cos(), angle.sin()]
    return [wave / wave.norm() for wave in found]


@pytest.mark.parametrize("n", [5, 8])
def test_part_at_frequencies_is_the_projection_on_cos_and_sin_of_the_sum(n, lines):
    from interp.maths.pairs import at_frequencies, line_means

    X = torch.randn(n * n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total = (torch.arange(n).repeat_interleave(n) + torch.arange(n).repeat(n)) % n
    ks = [1, n // 2]
    expected = torch.zeros_like(X)
    for k in ks:
        for wave in waves(n, k, total):
            expected += torch.outer(wave, wave @ X)
    found = at_frequencies(line_means(X, lines(n)["total"]), ks)[total]
    torch.testing.assert_close(found, expected)
    other = at_frequencies(line_means(X, lines(n)["difference"]), ks)[total]
    assert (other - expected).abs().max() > 0.1  # the control: another set of lines


@pytest.mark.parametrize("n", [2, 7, 8])
def test_variance_explained_is_that_of_the_eight_terms(n, lines):
    from interp.maths.pairs import line_means, variance_explained

    X = torch.randn(n * n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    centred = X - X.mean(dim=0)
    a, b = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    means = {name: line_means(X, rows) for name, rows in lines(n).items()}
    found = variance_explained(**means, variance=centred.square().mean(dim=0))
    one = [torch.ones(n * n, dtype=torch.float64)]
    for k in range(1, n // 2 + 1):
        terms = [u * v for u in [*one, *waves(n, k, a)] for v in [*one, *waves(n, k, b)]][1:]
        expected = sum((term / term.norm() @ centred).square() for term in terms) / centred.square().sum(dim=0)
        torch.testing.assert_close(found[k - 1], expected)
    assert len(found) == n // 2


def test_a_function_of_one_frequency_is_explained_by_it_alone_and_a_dead_one_by_none(lines):
    from interp.maths.pairs import line_means, variance_explained

    n = 11
    a, b = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    w = 2 * math.pi * 4 / n
    X = torch.stack([(w * a).cos() * (w * b).sin() + (w * b).cos(), torch.full((n * n,), 3.0)], dim=1).double()
    means = {name: line_means(X, rows) for name, rows in lines(n).items()}
    found = variance_explained(**means, variance=X.var(dim=0, correction=0))
    assert found[:, 0].argmax() == 3
    assert found[3, 0] == pytest.approx(1, abs=1e-6)
    assert found[:, 1].tolist() == [0.0] * 5


def test_frequency_power_adds_up_to_the_squares_without_the_mean():
    from interp.maths.pairs import frequency_power

    for n in (9, 10):
        M = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(frequency_power(M).sum(dim=0), (M - M.mean(dim=0)).square().sum(dim=0))


def test_a_frequency_beyond_half_is_refused():
    from interp.maths.pairs import frequency_rows

    with pytest.raises(ValueError, match="frequency 4 is not one of Z_7: give 1 to 3"):
        frequency_rows(7, [4])
