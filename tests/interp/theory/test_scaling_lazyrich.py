"""Grokking from lazy to rich (F20): the closed form against a network, and the delay by laziness."""

import numpy as np
import pytest


def test_f20_the_closed_form_is_the_network():
    """The closed form is gradient descent of N = 200 neurons with gradients written out."""
    from interp.theory.lazyrich import quadratic_data, train_committee

    rng, alpha, epsilon = np.random.default_rng(0), 0.7, 0.3
    data, W = quadratic_data(10, 30, 50, rng), rng.standard_normal((200, 10))

    def f(X):
        h = X @ W.T
        return alpha * (h + epsilon / 2 * h**2).mean(axis=1)

    closed = train_committee(data, alpha, epsilon, 0.5, 500, W.mean(axis=0), W.T @ W / 200)
    start, test_start, losses = f(data.X), f(data.X_test), []
    for _ in range(500):
        r = f(data.X) - start - data.y
        losses.append(np.mean(r**2))
        slope = (1 + epsilon * (data.X @ W.T)) * r[:, None]  # of each neuron at each sample
        W = W - 0.5 / alpha**2 * 200 * (2 / 30) * (alpha / 200) * slope.T @ data.X
    assert np.abs(f(data.X_test) - test_start - closed.output).max() < 1e-9
    np.testing.assert_allclose(closed.train_loss[:-1], losses, rtol=1e-9)
    assert np.abs(closed.M - W.T @ W / 200).max() < 1e-9
    assert losses[-1] < 0.5 * losses[0]  # the control: it did learn


def test_f20_laziness_delays_and_richness_aligns():
    from interp.theory.lazyrich import (
        kernel_alignment,
        kernel_distance,
        quadratic_data,
        tangent_kernel,
        train_committee,
    )

    data = quadratic_data(50, 250, 1000, np.random.default_rng(0))
    K0 = tangent_kernel(data.X_test, np.zeros(50), np.eye(50), 0.2)
    start, delays, alignments, distances = kernel_alignment(K0, data.y_test), [], [], []
    for alpha, steps in ((0.5, 4000), (2.0, 4000), (8.0, 4000)):
        found = train_committee(data, alpha, 0.2, 1.0, steps)
        K = tangent_kernel(data.X_test, found.w_bar, found.M, 0.2)
        delays.append(found.test_half - found.train_half)
        alignments.append(kernel_alignment(K, data.y_test))
        distances.append(kernel_distance(K, K0))
        assert found.train_loss[-1] < 0.05 * found.train_loss[0]
    assert 0 < delays[0] < delays[1] < delays[2]
    assert alignments[0] > 2 * start
    assert alignments == sorted(alignments, reverse=True) and distances == sorted(distances, reverse=True)


def test_alignment_is_one_for_the_target_itself():
    from interp.theory.lazyrich import kernel_alignment

    y = np.random.default_rng(0).standard_normal(20)
    assert kernel_alignment(np.outer(y, y), y) == pytest.approx(1)
    assert kernel_alignment(np.outer(y, y) + 3.0, y + 5.0) == pytest.approx(1)  # constants make no difference
    assert kernel_alignment(np.eye(20), y) == pytest.approx(1 / np.sqrt(19))


def test_bad_settings_are_refused():
    from interp.theory.checks import OutOfRange, Unsolvable
    from interp.theory.lazyrich import quadratic_data, train_committee

    data = quadratic_data(5, 10, 10, np.random.default_rng(0))
    with pytest.raises(OutOfRange, match="alpha = 0"):
        train_committee(data, 0.0, 0.2, 1.0, 3)
    with pytest.raises(Unsolvable, match="not finite at step"), np.errstate(all="ignore"):
        train_committee(data, 1.0, 5.0, 1e6, 200)
