"""Loss per row: cross-entropy of the softmax, or of StableMax, averaged over a row's answers."""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from train.config.optim import OptimConfig

OBEYS = frozenset({"optim.loss", "optim.loss_precision"})
"""Settings that this file obeys."""
RowLosses = Callable[[Tensor, Tensor], Float[Tensor, " rows"]]
"""A function from logits [rows, answers, d_vocab_out] and labels [rows, answers] to each row's loss in float64."""


def cross_entropy(
    logits: Float[Tensor, "rows answers d_vocab_out"],
    labels: Int[Tensor, "rows answers"],
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, " rows"]:
    """Loss of each row in nats, averaged over the row's answers; the log-softmax is computed in ``dtype``.

    In float32 a log-probability near 0 is a multiple of 6e-8, which stalls training at small losses (Nanda et al. 2023,
    2301.05217, therefore use float64; Prieto et al. 2025, 2501.04697, compare 16, 32 and 64 bits).
    """
    flat = F.cross_entropy(logits.to(dtype).flatten(0, 1), labels.flatten(), reduction="none")
    return flat.double().view(labels.shape).mean(dim=1)


def stablemax(
    logits: Float[Tensor, "rows answers d_vocab_out"],
    labels: Int[Tensor, "rows answers"],
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, " rows"]:
    """``cross_entropy`` with exp(x) replaced by s(x) = x + 1 for x >= 0 and 1/(1 - x) for x < 0.

    Prieto et al. 2025 (2501.04697): the loss falls as a power of the logits, not exponentially.
    """
    x = logits.to(dtype)
    s = torch.where(x >= 0, x + 1, 1 / (1 - x.clamp(max=0)))
    logp = s.log() - s.sum(dim=-1, keepdim=True).log()
    return -logp.gather(-1, labels[..., None]).squeeze(-1).double().mean(dim=1)


def training_loss(optim: OptimConfig) -> RowLosses:
    """The loss that a run minimises and logs."""
    kinds = {"softmax": cross_entropy, "stablemax": stablemax}
    return functools.partial(kinds[optim.loss], dtype=getattr(torch, optim.loss_precision))
