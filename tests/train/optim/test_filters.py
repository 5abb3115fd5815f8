"""Filters of gradients, the clamp of norms, and Muon: against hand calculations and PyTorch's own."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from test_optim import weights_of

# One tensor of two numbers and one of one, of two models; the second model has other numbers.
SHAPES = {"a": (2,), "b": (1, 1)}
VALUES = [[3.0, 4.0, 2.0], [1.0, 0.0, 0.0]]
GRADS = [[5.0, 0.0, 7.0], [2.0, 2.0, 3.0]]


def rows(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def step(changes, values=VALUES, grads=(GRADS,), lr=0.5, models=range(2)):
    """Weights and optimiser after updates with ``grads``, by Adam without memory: steps of lr * sign(gradient)."""
    from train.config.optim import OptimConfig
    from train.optim.optimizer import Optimizer

    config = OptimConfig(lr=lr, weight_decay=0.0, beta1=0.0, beta2=0.0, eps=1e-15, warmup_steps=0, **changes)
    weights = weights_of(rows(values), **SHAPES)
    optimizer = Optimizer([config] * len(values), weights, range(len(values)))
    for each in grads:
        weights.grads.copy_(rows(each))
        optimizer.update(models, map)
    return weights, optimizer


def test_orthogonal_gradient():
    """The filter removes (1.8, 2.4) from (5, 0) at (3, 4), and rescales the rest to length 5: (4, -3).

    A tensor of one number loses its whole gradient; a zero tensor loses nothing.
    """
    weights, _ = step({"orthogonal_gradient": True})
    expected = [[4.0, -3.0, 0.0], [0.0, math.sqrt(8), 3.0]]
    torch.testing.assert_close(weights.grads, rows(expected), rtol=0, atol=1e-12)
    plain, _ = step({})
    assert plain.grads.tolist() == GRADS  # control


def test_orthogonal_gradient_leaves_the_norm_to_second_order():
    """A filtered gradient is orthogonal to its tensor, so a small step keeps the norm to first order."""
    from train.optim.filters import take_out_scaling

    w, g = torch.randn(1, 50, dtype=torch.float64), torch.randn(1, 50, dtype=torch.float64)
    grads = {"w": g.clone()}
    take_out_scaling(grads, {"w": w})
    assert float((grads["w"] * w).sum()) == pytest.approx(0, abs=1e-12)
    assert float(grads["w"].norm()) == pytest.approx(float(g.norm()), rel=1e-12)
    assert abs(float((g * w).sum())) > 1e-3  # control


def test_grokfast():
    """The average starts at the gradient g1, then is alpha g1 + (1 - alpha) g2; lambda times the average is added."""
    first, second = GRADS, [[1.0, -1.0, 0.0], [0.0, 0.0, 4.0]]
    weights, optimizer = step({"grokfast_alpha": 0.75, "grokfast_lambda": 2.0}, grads=(first, second))
    average = [[0.75 * a + 0.25 * b for a, b in zip(x, y, strict=True)] for x, y in zip(first, second, strict=True)]
    expected = [[b + 2 * m for b, m in zip(y, z, strict=True)] for y, z in zip(second, average, strict=True)]
    torch.testing.assert_close(weights.grads, rows(expected), rtol=1e-12, atol=0)
    torch.testing.assert_close(optimizer.state["grokfast"], rows(average), rtol=1e-12, atol=0)
    weights, _ = step({"grokfast_alpha": 0.75, "grokfast_lambda": 2.0}, grads=(first,))
    torch.testing.assert_close(weights.grads, 3 * rows(first), rtol=1e-12, atol=0)


def test_orthogonal_comes_before_grokfast():
    weights, _ = step({"orthogonal_gradient": True, "grokfast_alpha": 0.5, "grokfast_lambda": 1.0})
    torch.testing.assert_close(weights.grads[0], rows([8.0, -6.0, 0.0]), rtol=0, atol=1e-12)


def test_norm_clamp():
    """The first model's norm sqrt(29) is held at its multiple 2 after a step of -0.5 * sign(gradient)."""
    weights, optimizer = step({"norm_clamp": 2.0})
    start = [2 * x for x in VALUES[0]]
    moved = [start[0] - 0.5, start[1], start[2] - 0.5]  # the second gradient is 0
    factor = 2 * math.sqrt(29) / math.sqrt(sum(x * x for x in moved))
    torch.testing.assert_close(weights.values[0], rows([factor * x for x in moved]), rtol=1e-9, atol=0)
    assert weights.values.norm(dim=1).tolist() == pytest.approx([2 * math.sqrt(29), 2.0])
    optimizer.keep([1])
    assert optimizer.norms.tolist() == [[2.0]]


def test_one_model_at_a_time_is_all_at_once():
    for changes in ({"orthogonal_gradient": True}, {"grokfast_alpha": 0.5}, {"norm_clamp": 1.5}):
        together, _ = step(changes, grads=(GRADS, GRADS[::-1]))
        apart = [step(changes, VALUES[k : k + 1], ([GRADS[k]], [GRADS[1 - k]]), models=range(1))[0] for k in range(2)]
        assert torch.equal(together.values, torch.cat([weights.values for weights in apart]))


# ---- Muon --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_orthogonal_factor(shape):
    """The factor equals five rounds of Muon's polynomial on the singular values that numpy finds."""
    from train.optim.muon import orthogonal_factor

    matrix = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = orthogonal_factor(matrix)
    for one, other in zip(matrix.numpy(), found.numpy(), strict=True):
        u, s, vt = np.linalg.svd(one, full_matrices=False)
        x = s / math.sqrt(float((s * s).sum()))
        for _ in range(5):
            x = 3.4445 * x - 4.775 * x**3 + 2.0315 * x**5
        np.testing.assert_allclose(other, (u * x) @ vt, rtol=0, atol=1e-10)
        assert 0.5 < x.min() and x.max() < 1.3
        assert s.max() / s.min() > 2  # control: they were not alike


def test_muon_is_pytorchs():
    """Muon equals PyTorch's on matrices, to its bfloat16's three digits; other tensors take AdamW steps."""
    from train.config.optim import OptimConfig
    from train.optim.optimizer import Optimizer

    shapes = {"W_in": (8, 12), "W_E": (5, 8), "b_in": (12,)}
    n = sum(math.prod(shape) for shape in shapes.values())
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(1, n, generator=generator), torch.randn(4, 1, n, generator=generator)
    config = OptimConfig(optimizer="muon", lr=0.02, weight_decay=0.5, warmup_steps=0)
    weights = weights_of(start, **shapes)
    optimizer = Optimizer([config], weights, [0])
    leaves = {name: t[0].clone().requires_grad_() for name, t in weights.split(start.clone()).items()}
    theirs = [
        torch.optim.Muon([leaves["W_in"]], lr=0.02, weight_decay=0.5, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([leaves["W_E"], leaves["b_in"]], lr=0.02, weight_decay=0.5, betas=(0.9, 0.98)),
    ]
    for gradient in gradients:
        weights.grads.copy_(gradient)
        optimizer.update(range(1), map)
        for name, part in weights.split(gradient).items():
            leaves[name].grad = part[0].clone()
        for other in theirs:
            other.step()
    found = weights.split(weights.values)
    for name, tolerance in (("W_in", 5e-3), ("W_E", 1e-6), ("b_in", 1e-6)):
        torch.testing.assert_close(found[name][0], leaves[name].detach(), rtol=0, atol=tolerance)
        assert (found[name] - weights.split(start)[name]).abs().mean() > 5 * tolerance  # control: it moved


def test_label():
    from train.config.optim import OptimConfig
    from train.config.presets import find_preset

    assert OptimConfig().label == "adamw with weight decay 1"
    fast = find_preset("fast").config.optim.label
    assert fast == "adamw with weight decay 0, a learning rate that falls, orthogonal gradients, a constant norm"


def test_bad_settings():
    from train.config.optim import OptimConfig

    every: Any = ({"grokfast_alpha": 1.0}, {"muon_momentum": -0.1}, {"norm_clamp": 0.0}, {"grokfast_lambda": -1.0})
    for changes in every:
        with pytest.raises(ValueError, match="out of range"):
            OptimConfig(**changes)
