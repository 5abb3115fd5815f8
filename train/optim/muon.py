"""Muon: matrices are updated along the orthogonal factor of their momentum."""

import math

from jaxtyping import Float
from torch import Tensor

MATRICES = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
"""Weights that Muon updates, head by head; AdamW updates embeddings, unembedding, biases and norms."""
QUINTIC = (3.4445, -4.775, 2.0315)
ITERATIONS = 5


def is_stepped(name: str) -> bool:
    """Whether Muon, rather than AdamW, updates a parameter."""
    return name.rpartition(".")[2] in MATRICES


def orthogonal_factor(momentum: Float[Tensor, "*R m n"]) -> Float[Tensor, "*R m n"]:
    """Approximately U V^T of the singular value decomposition: singular values end between 0.68 and 1.13.

    Five Newton-Schulz iterations of a quintic: Jordan et al. 2024 (kellerjordan.github.io/posts/muon).
    """
    a, b, c = QUINTIC
    is_tall = momentum.shape[-2] > momentum.shape[-1]
    x = momentum.mT if is_tall else momentum
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if is_tall else x


def muon(
    values: Float[Tensor, "R ..."],
    grads: Float[Tensor, "R ..."],
    momentum: Float[Tensor, "R ..."],
    beta: Float[Tensor, "R 1"],
    lr: Float[Tensor, "R 1"],
    weight_decay: Float[Tensor, "R 1"],
) -> None:
    """One step, in place, with Nesterov momentum and decoupled weight decay.

    The step is scaled by 0.2 sqrt(max(m, n)), so that its entries are about as large as AdamW's and learning
    rate and weight decay serve both: Liu et al. 2025 (2502.16982), equation 4.
    """
    beta, lr, weight_decay = (t.view(-1, *[1] * (values.dim() - 1)) for t in (beta, lr, weight_decay))
    momentum.mul_(beta).add_((1 - beta) * grads)
    ahead = (1 - beta) * grads + beta * momentum
    scale = 0.2 * math.sqrt(max(values.shape[-2:]))
    values.mul_(1 - lr * weight_decay).sub_(lr * scale * orthogonal_factor(ahead))
