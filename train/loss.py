"""The loss of a row, in one place."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def cross_entropy(
    logits: Float[Tensor, "rows answers d_vocab_out"], labels: Int[Tensor, "rows answers"]
) -> Float[Tensor, " rows"]:
    """Loss of each row in nats, averaged over its answers; the log-softmax is taken in float64.

    In float32 a log-probability near 0 is a multiple of 6e-8, which stalls training near there (Nanda et
    al. 2023, 2301.05217, train in float64 for that reason).
    """
    flat = F.cross_entropy(logits.double().flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape).mean(dim=1)
