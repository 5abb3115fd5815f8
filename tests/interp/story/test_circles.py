"""Circles: projections by plain sums, a cloud where there is no circle, and both embeddings of a model with two."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from oracles.handmade import handmade_run
from oracles.runs import random_run

N, K = 12, 5


def ring(n: int = N, k: int = K, d: int = 4, scale: float = 3.0) -> torch.Tensor:
    """Rows on a circle of k rounds in two directions that are not axes, on top of a mean row."""
    u, v = torch.tensor([1.0, 2.0, 0.0, 2.0])[:d] / 3, torch.tensor([2.0, -2.0, 1.0, 1.0])[:d] / 10**0.5
    rows = [math.cos(2 * math.pi * k * j / n) * u + math.sin(2 * math.pi * k * j / n) * v for j in range(n)]
    return scale * torch.stack(rows) + 7


def test_a_ring_is_drawn_as_a_ring_and_a_cloud_as_a_cloud():
    from interp.maths.circles import circle_points

    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(N, 4, generator=generator)
    points = circle_points(torch.stack([cloud, ring()]), K).double()
    cosine, sine = ([f(2 * math.pi * K * j / N) for j in range(N)] for f in (math.cos, math.sin))
    last = points[1] / 3
    assert last[:, 0].tolist() == pytest.approx(cosine, abs=1e-5)
    assert last[:, 1].tolist() == pytest.approx([y * math.hypot(2, 2, 1, 1) / 10**0.5 for y in sine], abs=1e-5)
    u = [1 / 3, 2 / 3, 0, 2 / 3]  # the last matrix's own direction of the cosine, a unit vector
    mean = cloud.mean(dim=0)
    assert points[0][:, 0].tolist() == pytest.approx([float((row - mean) @ torch.tensor(u)) for row in cloud], abs=1e-5)
    spread = points[0].norm(dim=1)
    assert spread.max() > 3 * spread.min()  # a cloud, although it has some part at every frequency


def test_the_highest_frequency_of_an_even_cycle_has_no_sine_and_a_zero_matrix_no_direction():
    from interp.maths.circles import circle_points

    alternating = torch.tensor([[(-1.0) ** j, 0.0] for j in range(N)])
    points = circle_points(alternating[None], N // 2)
    assert points[0, :, 0].abs().tolist() == pytest.approx([1.0] * N) and (points[0, :, 1] == 0).all()
    assert (circle_points(torch.zeros(2, N, 3), 2) == 0).all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), 23, (3, 5, 9)))


def figure(run: Any, id: str) -> Any:
    from interp.sections import story

    return next(block for block in story.build(run) if getattr(block, "id", None) == id)


def test_the_page_draws_the_key_frequencies_as_rings(run):
    circles = figure(run, "circles")
    links = {link.trace: int(link.values[0]) for link in circles.links if link.name == "k"}
    assert sorted(links.values()) == [3, 5, 9] and circles.steps == tuple(run.steps)
    for trace, k in links.items():
        drawn = circles.at(1000).data[trace]
        assert drawn.name == f"k = {k}"
        radius = np.hypot(drawn.x, drawn.y)
        assert radius == pytest.approx(np.full(23, radius[0]), rel=1e-4)
        angle = np.unwrap(np.arctan2(drawn.y, drawn.x)) / (2 * math.pi)
        turns = np.array([k * j / 23 for j in range(23)])
        assert np.abs((angle - angle[0] - turns + 0.5) % 1 - 0.5).max() < 1e-4  # token j after k j / p turns
        assert list(drawn.marker.color) == pytest.approx([k * j % 23 / 23 for j in range(23)])


def test_the_living_table_is_that_of_a_loop_at_every_snapshot(run):
    table = figure(run, "table")
    assert table.steps == tuple(run.steps) and table.tracks[0].values.dtype == np.uint8
    for step in (0, 100):
        logits, z = run[step].model(run.task.tokens)[:, -1].tolist(), table.at(step).data[0].z
        for row, pair in enumerate(run.task.pairs.tolist()):
            right = max(range(len(logits[row])), key=logits[row].__getitem__) == sum(pair) % 23
            assert z[pair[0]][pair[1]] == right + 2 * int(run.task.is_train[row])


def test_a_model_with_two_embeddings_shows_both(tmp_path):
    run = random_run(tmp_path, op="add", p=13, layout="a b", shared_vocabulary=False)
    circles = figure(run, "circles")
    names = [trace.name for trace in circles.fig.data]
    assert len(names) == 6 and [name[:2] for name in names] == ["a:", "a:", "a:", "b:", "b:", "b:"]
    ks = [int(name.split()[-1]) for name in names]
    assert ks[:3] == ks[3:] and "second operand" in circles.texts[0]
    assert not np.allclose(circles.fig.data[0].x, circles.fig.data[3].x)


def test_many_snapshots_of_a_large_table_are_thinned_and_few_are_not():
    import pandas as pd

    from interp.story.keysteps import fitting_steps

    steps = list(range(0, 4000, 10))
    rows = pd.DataFrame({"step": steps, "test_loss": 1.0, "train_acc": 0.5, "test_acc": 0.5})
    assert fitting_steps(rows, steps, 113**2, 10**9) == steps
    some = fitting_steps(rows, steps, 113**2, 40 * 113**2)
    assert 2 < len(some) <= 40 and some[0] == 0 and some[-1] == steps[-1]
    assert fitting_steps(rows, steps, 10**9, 1) == [0, steps[-1]]
