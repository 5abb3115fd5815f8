"""The tangent kernel on the circle (F17), and the exponents of its task."""

import numpy as np
import pytest


@pytest.mark.parametrize("n_hidden", [1, 2, 3])
def test_f17_eigenvalues_fall_as_the_square(n_hidden):
    from interp.theory.circle import circle_eigenvalues

    found, k = circle_eigenvalues(n_hidden, 200), np.arange(10, 201)
    k = k[k % 2 == 0] if n_hidden == 1 else k
    assert np.polyfit(np.log(k), np.log(found[k]), 1)[0] == pytest.approx(-2, abs=0.02)
    odd = np.abs(found[3::2])
    assert (odd < 1e-12).all() if n_hidden == 1 else (odd > 1e-6).all()  # without biases one layer cannot


@pytest.mark.parametrize("n_hidden", [1, 2])
def test_the_kernel_is_that_of_a_wide_network(n_hidden):
    """The kernel is the tangent kernel of random networks of width 1024, by autograd."""
    import torch

    from interp.theory.circle import relu_ntk

    angles, width, kernels = np.array([0.0, 0.7, 2.0, 3.0]), 1024, []
    x = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        sizes = [(2, width), *[(width, width)] * (n_hidden - 1), (width, 1)]
        W = [torch.randn(size, dtype=torch.float64, generator=generator).requires_grad_() for size in sizes]
        grads = []
        for row in x:
            h = row @ W[0]
            for layer in W[1:]:
                h = 2**0.5 * h.relu() @ layer / width**0.5
            grads.append(torch.cat([g.flatten() for g in torch.autograd.grad(h.sum(), W)]))
        kernels.append((torch.stack(grads) @ grads[0]).numpy())
    expected = relu_ntk(angles, n_hidden)
    np.testing.assert_allclose(np.mean(kernels, axis=0), expected, atol=0.1)
    assert np.abs(relu_ntk(angles, n_hidden + 1) - expected).max() > 0.5  # the control


def test_exponents_of_the_sobolev_task():
    from interp.theory.checks import OutOfRange
    from interp.theory.circle import sobolev_exponents
    from interp.theory.exponents import regime

    assert sobolev_exponents(1.0) == (2.0, 0.5) and sobolev_exponents(1.75) == (2.0, 1.25)
    assert regime(*sobolev_exponents(1.49)) == "hard" and regime(*sobolev_exponents(1.51)) == "easy"
    for q, q_phi in ((0.5, 1.0), (1.0, 0.5)):
        with pytest.raises(OutOfRange, match="is not allowed"):
            sobolev_exponents(q, q_phi)
