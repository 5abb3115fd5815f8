"""Clock or pizza: closed forms of both, and the published values of a model of Zhong et al."""

import math
import os
from pathlib import Path

import pytest
import torch

from interp.maths.clocks import distance_irrelevance, gradient_symmetricity
from interp.parts.triples import sampled_triples

P, K = 13, 3


def circle(x):
    angle = 2 * math.pi * K * x.double() / P
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def grid():
    a, b = torch.meshgrid(torch.arange(P), torch.arange(P), indexing="ij")
    return a, b


def by_difference(correct):
    """The grid regrouped into lines of pairs (b + d, b), one line per difference d."""
    n = len(correct)
    return torch.stack([torch.stack([correct[(b + d) % n, b] for b in range(n)]) for d in range(n)])


def test_distance_irrelevance_of_closed_forms():
    a, b = grid()
    of_sum = torch.randn(P, dtype=torch.float64)[(a + b) % P]
    assert distance_irrelevance(by_difference(of_sum)) == pytest.approx(1)
    of_difference = torch.randn(P, dtype=torch.float64)[(a - b) % P]
    assert distance_irrelevance(by_difference(of_difference)) == pytest.approx(0, abs=1e-12)
    # independent parts: std over s is that of the first, the whole variance is the sum of both
    both = 3 * (circle(a + b)[..., 0]) + 4 * circle(a - b)[..., 0]
    assert distance_irrelevance(by_difference(both)) == pytest.approx(3 / 5)
    assert distance_irrelevance(by_difference(of_sum[torch.randperm(P)])) < 0.999  # control: rows mixed up
    even = torch.arange(10)
    of_sum = torch.randn(10, dtype=torch.float64)[(even[:, None] + even) % 10]
    assert distance_irrelevance(by_difference(of_sum)) < 1  # sums of one parity meet differences of one parity
    of_difference = torch.randn(10, dtype=torch.float64)[(even[:, None] - even) % 10]
    assert distance_irrelevance(by_difference(of_difference)) == pytest.approx(0, abs=1e-12)


def clock(x):
    """Logits of a clock: Re(z_a z_b conj(z_c)) = cos(w (a + b - c))."""
    a, b = torch.view_as_complex(x[:, 0].contiguous()), torch.view_as_complex(x[:, 1].contiguous())
    c = torch.view_as_complex(circle(torch.arange(P)).contiguous())
    return (a[:, None] * b[:, None] * c.conj()).real


def pizza(x):
    """Logits of a pizza: |z_a + z_b| along each answer's half angle, a function of the operands' sum."""
    return (x.sum(dim=1) @ circle(torch.arange(P) * 7).T).abs()


def test_gradient_symmetricity_of_closed_forms():
    """A clock's gradients in z_a and z_b make the angle w (a - b), whose cosine averages to 0; a pizza's are equal."""
    a, b = (x.flatten() for x in grid())
    embeddings = circle(torch.stack([a, b], dim=1))
    answers = torch.randint(P, (P * P,))
    assert gradient_symmetricity(clock, embeddings, answers, 0, 1) == pytest.approx(0, abs=1e-12)
    one = (a == 5) & (b == 1)
    found = gradient_symmetricity(clock, embeddings[one], answers[one], 0, 1)
    assert found == pytest.approx(math.cos(2 * math.pi * K * 4 / P))
    assert gradient_symmetricity(pizza, embeddings, answers, 0, 1) == pytest.approx(1)


@pytest.mark.parametrize("p", [2, 5, 16, 31])
def test_triples_are_those_of_pythons_own_shuffle(p):
    import random

    expected = [(a, b, c) for a in range(p) for b in range(p) for c in range(p)]
    random.Random(42).shuffle(expected)
    assert [tuple(t) for t in sampled_triples(p, 8).tolist()] == expected[:8]


def test_triples():
    triples = sampled_triples(5, 125)
    assert len({tuple(t) for t in triples.tolist()}) == 125
    assert torch.equal(sampled_triples(5, 10), triples[:10])
    assert triples.tolist() != sorted(triples.tolist())


def test_model_a_of_zhong():
    """A published pizza scores 0.9937 (99.37% in the paper's figure 4), and 0.1717 by its correct logits."""
    folder = os.environ.get("GROKLENS_THIRD_PARTY")
    if folder is None:
        pytest.skip("set GROKLENS_THIRD_PARTY to the folder with pizza_model_a.pt")
    w = torch.load(Path(folder) / "pizza_model_a.pt", map_location="cpu", weights_only=True)
    p = w["unembed.W_U"].shape[1]

    def logits(embedded):
        """Logits of a bidirectional layer with constant attention 1, read at the last position."""
        x = embedded + w["pos_embed.W_pos"]
        values = torch.einsum("hed,njd->njhe", w["blocks.0.attn.W_V"], x).sum(dim=1).flatten(1)
        x = x[:, -1] + values @ w["blocks.0.attn.W_O"].T
        x = x + (x @ w["blocks.0.mlp.W_in"].T + w["blocks.0.mlp.b_in"]).relu() @ w["blocks.0.mlp.W_out"].T
        return (x + w["blocks.0.mlp.b_out"]) @ w["unembed.W_U"]

    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    table, right = w["embed.W_E"].T, pairs.sum(dim=1) % p
    found = logits(table[pairs])
    assert torch.equal(found.argmax(dim=1), right)
    assert distance_irrelevance(by_difference(found.gather(1, right[:, None]).view(p, p))) == pytest.approx(
        0.1717, abs=5e-5
    )
    triples = sampled_triples(p)
    symmetricity = gradient_symmetricity(logits, table[triples[:, :2]], triples[:, 2], 0, 1)
    assert symmetricity == pytest.approx(0.9937, abs=5e-5)
