"""Grokking as a transition from lazy to rich: a committee machine with closed equations for two moments.

Source: Kumar et al. 2024 (2310.06110): f = (alpha/N) sum phi(w_i x), phi(h) = h + (epsilon/2) h^2, x ~ N(0, I/D),
target (beta* x)^2 / 2; full-batch descent on the mean square error of the centred output, step eta0/alpha^2 per neuron.
Every neuron moves by the same affine map w <- (I + E) w + g, so the mean w_bar and the second moment M = mean of w w^T
obey a closed recursion.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .checks import OutOfRange, Unsolvable


@dataclass(frozen=True)
class Data:
    """Training and test inputs with their targets."""

    X: Float[np.ndarray, "p d"]
    y: Float[np.ndarray, " p"]
    X_test: Float[np.ndarray, "t d"]
    y_test: Float[np.ndarray, " t"]


@dataclass(frozen=True)
class Trained:
    """A run of gradient descent."""

    train_loss: Float[np.ndarray, " steps"]
    """Mean square error before each update, and after the last one."""
    test_loss: Float[np.ndarray, " steps"]
    w_bar: Float[np.ndarray, " d"]
    M: Float[np.ndarray, "d d"]
    output: Float[np.ndarray, " t"]
    """Centred output on the test inputs at the end."""

    @property
    def train_half(self) -> float:
        """First step at which the train loss is half of its initial value or less; infinite if there is none."""
        return _half(self.train_loss)

    @property
    def test_half(self) -> float:
        """First step at which the test loss is half of its initial value or less; infinite if there is none."""
        return _half(self.test_loss)


def quadratic_data(d: int, p: int, p_test: int, rng: np.random.Generator) -> Data:
    """Draw inputs x ~ N(0, I/d) with targets y = (beta* x)^2 / 2, where |beta*|^2 = d."""
    direction = rng.standard_normal(d)
    direction *= np.sqrt(d) / np.linalg.norm(direction)
    X, X_test = rng.standard_normal((p, d)) / np.sqrt(d), rng.standard_normal((p_test, d)) / np.sqrt(d)
    return Data(X, (X @ direction) ** 2 / 2, X_test, (X_test @ direction) ** 2 / 2)


def train_committee(
    data: Data,
    alpha: float,
    epsilon: float,
    eta0: float,
    n_steps: int,
    w_bar: Float[np.ndarray, " d"] | None = None,
    M: Float[np.ndarray, "d d"] | None = None,
) -> Trained:
    """Full-batch descent in closed form, by default from w_bar = 0 and M = I (infinitely many neurons).

    Raises:
        OutOfRange: alpha or eta0 not positive.
        Unsolvable: the loss diverges.
    """
    for name, value in (("alpha", alpha), ("eta0", eta0)):
        if not (np.isfinite(value) and value > 0):
            raise OutOfRange(f"{name} = {value:g} is not allowed: give a number > 0")
    d = data.X.shape[1]
    w = np.zeros(d) if w_bar is None else w_bar
    second = np.eye(d) if M is None else M
    start, test_start = (_output(X, w, second, alpha, epsilon) for X in (data.X, data.X_test))
    train_loss, test_loss = np.empty(n_steps + 1), np.empty(n_steps + 1)
    test = test_start
    for step in range(n_steps + 1):
        r = _output(data.X, w, second, alpha, epsilon) - start - data.y
        test = _output(data.X_test, w, second, alpha, epsilon) - test_start
        train_loss[step], test_loss[step] = np.mean(r**2), np.mean((test - data.y_test) ** 2)
        if not np.isfinite(train_loss[step]):
            raise Unsolvable(f"the loss is not finite at step {step}: give a smaller eta0 than {eta0:g}")
        if step == n_steps:
            break
        g = -2 * eta0 / alpha * (r @ data.X) / len(r)
        A = np.eye(d) - 2 * eta0 * epsilon / alpha * (data.X.T * r) @ data.X / len(r)
        moved = A @ w
        second = A @ second @ A.T + np.outer(moved, g) + np.outer(g, moved) + np.outer(g, g)
        w = moved + g
    return Trained(train_loss, test_loss, w, second, test)


def tangent_kernel(
    X: Float[np.ndarray, "p d"], w_bar: Float[np.ndarray, " d"], M: Float[np.ndarray, "d d"], epsilon: float
) -> Float[np.ndarray, "p p"]:
    """Tangent kernel x.x' (1 + epsilon w_bar (x + x') + epsilon^2 x M x')."""
    mean = epsilon * (X @ w_bar)
    return X @ X.T * (1 + mean[:, None] + mean[None, :] + epsilon**2 * X @ M @ X.T)


def kernel_alignment(K: Float[np.ndarray, "p p"], y: Float[np.ndarray, " p"]) -> float:
    """Centred alignment y H K H y / (|H K H| |H y|^2), H = I - 1/p; 1 if the kernel is the target's outer product."""
    centred = K - K.mean(axis=0) - K.mean(axis=1, keepdims=True) + K.mean()
    target = y - y.mean()
    return float(target @ centred @ target / (np.linalg.norm(centred) * (target @ target)))


def kernel_distance(K: Float[np.ndarray, "p p"], K0: Float[np.ndarray, "p p"]) -> float:
    """Relative distance |K - K0| / |K0| in the Frobenius norm."""
    return float(np.linalg.norm(K - K0) / np.linalg.norm(K0))


def _output(
    X: Float[np.ndarray, "p d"], w: Float[np.ndarray, " d"], M: Float[np.ndarray, "d d"], alpha: float, epsilon: float
) -> Float[np.ndarray, " p"]:
    return alpha * (X @ w) + alpha * epsilon / 2 * ((X @ M) * X).sum(axis=1)


def _half(loss: Float[np.ndarray, " steps"]) -> float:
    below = np.flatnonzero(loss <= loss[0] / 2)
    return float(below[0]) if len(below) else float("inf")
