"""Circle scores against the definition in plain Python, closed forms, and Monte Carlo of the null."""

import cmath
import math

import pytest
import torch
from torch.testing import assert_close

from interp.maths.circles import chain_order, chain_step, circle_score, circle_score_null


def ring(n: int, k: int, radius: float = 1.0, phase: float = 0.0) -> torch.Tensor:
    theta = 2 * torch.pi * k * torch.arange(n, dtype=torch.float64) / n + phase
    return radius * torch.stack([theta.cos(), theta.sin()], dim=1)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score_by_definition(points: torch.Tensor) -> tuple[float, int]:
    rows = points.tolist()
    n = len(rows)
    cx, cy = (sum(row[axis] for row in rows) / n for axis in (0, 1))
    theta = [math.atan2(y - cy, x - cx) for x, y in rows]
    scores = {
        (k, sign): abs(sum(cmath.exp(1j * (theta[j] + sign * 2 * math.pi * k * j / n)) for j in range(n))) / n
        for k in range(1, n // 2 + 1)
        for sign in (1, -1)
    }
    (k, _), best = max(scores.items(), key=lambda item: item[1])
    return best, k


@pytest.mark.parametrize("n", [3, 4, 5, 12, 31])
def test_score_is_its_definition(n):
    for seed in range(5):
        points = noise(n, 2, seed=seed) + 7
        score, k = circle_score(points)
        expected, expected_k = score_by_definition(points)
        assert score.item() == pytest.approx(expected, abs=1e-12)
        assert k == expected_k or n <= 4  # so few points: ties between frequencies


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (97, 1), (97, 12), (113, 56), (12, 4), (12, 6)])
def test_a_ring_scores_one_at_its_frequency_both_ways_round(n, k):
    points = ring(n, k, radius=3.0, phase=0.4) + torch.tensor([10.0, -20.0])
    mirrored = points * torch.tensor([1.0, -1.0])
    for map_ in (points, mirrored):
        score, found = circle_score(map_)
        assert score.item() == pytest.approx(1, abs=n * 1e-14) and score <= 1 and found == k


def test_controls_score_low():
    n = 113
    shuffled = ring(n, 3)[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
    assert circle_score(shuffled)[0] < 0.35  # on a ring, but not in order
    line = torch.stack([torch.arange(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)], dim=1)
    assert circle_score(line)[0] < 0.65  # in order, but no ring: two directions only, 2 / pi


def test_batches_radii_and_the_centroid():
    maps = noise(4, 3, 13, 2)
    score, k = circle_score(maps)
    assert score.shape == (4, 3) and k.shape == (4, 3)
    assert_close(score[2, 1], circle_score(maps[2, 1])[0])
    wobbly = ring(12, 1) * torch.tensor([1.0, 3.0] * 6)[:, None]  # centroid still at 0
    assert circle_score(wobbly)[0].item() == pytest.approx(1)
    collapsed = circle_score(torch.full((7, 2), 0.1))
    assert collapsed[0] == pytest.approx(0, abs=1e-12)
    assert circle_score(torch.full((7, 2), torch.nan))[0].isnan()


@pytest.mark.parametrize("n", [11, 24, 97])
def test_null_is_the_95_percent_point(n):
    draws = 4000
    angles = 2 * torch.pi * torch.rand(draws, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    exceed = (score_of_angles(angles) > circle_score_null(n)).double().mean().item()
    standard_error = math.sqrt(0.05 * 0.95 / draws)
    assert abs(exceed - 0.05) < 4 * standard_error + 0.1 / n  # 0.1 / n: the finite-n tail is lighter
    gaussian = (circle_score(noise(draws, n, 2, seed=n))[0] > circle_score_null(n)).double().mean().item()
    assert gaussian < 0.05 + 4 * standard_error
    control = (score_of_angles(angles) > 0.85 * circle_score_null(n)).double().mean().item()
    assert control > 0.1


def score_of_angles(angles: torch.Tensor) -> torch.Tensor:
    """The best score over frequencies at given angles, as matrix products, without a centroid."""
    n = angles.shape[1]
    jk = torch.outer(torch.arange(n), torch.arange(1, n)).double() * 2 * torch.pi / n
    z = torch.exp(1j * angles)
    return (z @ torch.exp(-1j * jk)).abs().amax(dim=1) / n


def test_null_closed_form_and_edges():
    assert [circle_score_null(n) for n in (2, 3, 4)] == [1, 1, 1]
    t = circle_score_null(113)
    assert (1 - math.exp(-113 * t * t)) ** 112 == pytest.approx(0.95)
    mean = circle_score(noise(500, 113, 2))[0].mean().item()
    assert mean == pytest.approx(math.sqrt(math.log(113) / 113), rel=0.1)
    for function in (circle_score_null, lambda n: circle_score(torch.zeros(n, 2))):
        with pytest.raises(ValueError, match="at least 2 points"):
            function(1)


@pytest.mark.parametrize("n", [2, 3, 12, 97, 113])
def test_chain_step_by_search(n):
    for k in range(1, n):
        if math.gcd(k, n) > 1:
            with pytest.raises(ValueError, match=f"frequency {k} is not coprime to n = {n}"):
                chain_step(n, k)
        else:
            found = [s for s in range(1, n // 2 + 1) if s * k % n in (1, n - 1)]
            assert [chain_step(n, k)] == found


def test_power_figure_3_chain():
    assert chain_step(97, 12) == 8
    (walk,) = chain_order(97, 8)
    assert walk[:3] == [0, 8, 16] and walk[-1] == 0
    points = ring(97, 12)
    sides = (points[walk[1:]] - points[walk[:-1]]).norm(dim=1)
    assert_close(sides, torch.full_like(sides, 2 * math.sin(math.pi / 97)))  # once round the ring
    other = (points[chain_order(97, 9)[0][1:]] - points[chain_order(97, 9)[0][:-1]]).norm(dim=1)
    assert other.min() > 10 * sides.max()  # control


@pytest.mark.parametrize(("n", "step"), [(2, 1), (12, 8), (12, 5), (113, 112), (6, -2), (6, 9)])
def test_chain_order_covers_everything_once(n, step):
    walks = chain_order(n, step)
    assert len(walks) == math.gcd(n, step)
    assert sorted(j for walk in walks for j in walk[:-1]) == list(range(n))
    for walk in walks:
        assert walk[0] == walk[-1]
        assert all((b - a - step) % n == 0 for a, b in zip(walk, walk[1:], strict=False))


@pytest.mark.parametrize("step", [0, 6, -12])
def test_chain_order_refuses_to_stand_still(step):
    with pytest.raises(ValueError, match="goes nowhere mod 6: use a step in 1..5"):
        chain_order(6, step)
