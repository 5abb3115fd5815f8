"""What is done to gradients before the optimiser, and to weights after it. Rows of R models at once, in place."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Tensors = Mapping[str, Float[Tensor, "R ..."]]
TINY = 1e-30
OBEYS = frozenset(
    f"optim.{name}"
    for name in (
        *("orthogonal_gradient", "norm_clamp"),
        *("grokfast_alpha", "grokfast_window", "grokfast_lambda", "grokfast_from"),
    )
)
"""Settings that are obeyed here; ``optim`` hands them over."""


def take_out_scaling(grads: Tensors, values: Tensors) -> None:
    """Orthogonal gradient: of each tensor's gradient the part along the tensor goes, and its length is restored.

    A step along a tensor scales it, which lowers the loss of a model that has memorised without changing what it
    answers. Prieto et al. 2025 (2501.04697), section 5, and their code.
    """
    for name, grad in grads.items():
        g, w = grad.flatten(1), values[name].flatten(1)
        along = (w * g).sum(dim=1, keepdim=True) / ((w * w).sum(dim=1, keepdim=True) + TINY)
        rest = g - along * w
        rest *= g.norm(dim=1, keepdim=True) / (rest.norm(dim=1, keepdim=True) + TINY)
        grad.copy_(rest.unflatten(1, grad.shape[1:]))


def amplify_slow(
    grads: Float[Tensor, "R n"],
    average: Float[Tensor, "R n"],
    alpha: Float[Tensor, "R 1"],
    strength: Float[Tensor, "R 1"],
    is_first: Bool[Tensor, "R 1"],
) -> None:
    """Grokfast-EMA: add ``strength`` times a moving average of gradients, which begins as the first of them.

    Lee et al. 2024 (2405.20233), algorithm 2; their code begins the average with the first gradient. A strength of 0 is
    that of a model whose filter has not begun.
    """
    average.mul_(alpha).add_((1 - alpha) * grads)
    average.copy_(torch.where(is_first, grads, average))
    grads.add_(strength * average)


def add_mean(
    grads: Float[Tensor, "R n"],
    last: Float[Tensor, "R window n"],
    strength: Float[Tensor, "R 1"],
    ages: Sequence[int],
) -> None:
    """Grokfast-MA: add ``strength`` times the mean of the last gradients, this one with them, once there are so many.

    Lee et al. 2024 (2405.20233) and their code, whose filter waits for the window to be full.

    Args:
        grads: of R models, in place.
        last: each model's last gradients, in turn; this one takes the place of the oldest.
        strength: lambda.
        ages: how many gradients each has seen before this one; below 0 it has not begun.
    """
    window = last.shape[1]
    for row, age in enumerate(ages):
        if age < 0:
            continue
        last[row, age % window] = grads[row]
        if age + 1 >= window:
            grads[row] += strength[row] * last[row].mean(dim=0)


def set_norm(values: Float[Tensor, "R n"], norm: Float[Tensor, "R 1"]) -> None:
    """Scale all of a model's trained numbers to one total norm: Liu et al. 2022 (2210.01117), section 2."""
    values.mul_(norm / values.norm(dim=1, keepdim=True))
