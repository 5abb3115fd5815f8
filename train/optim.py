"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from .config import OptimConfig


def build_optimizer(rows: Sequence[nn.Parameter], configs: Sequence[OptimConfig]) -> torch.optim.Adam:
    """Adam over K models, each a row of trained numbers and a parameter group with settings of its own.

    Weight decay is decoupled (AdamW) or coupled (Adam), and is applied to every trained number, as in the
    published runs.
    """
    return torch.optim.Adam([_group(row, config) for row, config in zip(rows, configs, strict=True)], fused=True)


def _group(row: nn.Parameter, config: OptimConfig) -> dict[str, object]:
    return {
        "params": [row],
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
        "decoupled_weight_decay": config.optimizer == "adamw",
    }


def lr_at(step: int, config: OptimConfig) -> float:
    """Learning rate of the update made at ``step`` (0 is the first): linear warm-up from 0, then constant or a decay.

    With warm-up the first update has learning rate 0, as in Power et al. 2022 and Nanda et al. 2023 (both
    codes multiply by min(step / 10, 1)). The decay, from the end of the warm-up to ``decay_steps``, is half a
    cosine (Loshchilov and Hutter 2017, 1608.03983, equation 5) down to ``decay_to``.
    """
    if step < config.warmup_steps:
        return config.lr * step / config.warmup_steps
    if config.decay_steps is None:
        return config.lr
    progress = min((step - config.warmup_steps) / (config.decay_steps - config.warmup_steps), 1.0)
    falling = (1 + math.cos(math.pi * progress)) / 2
    return config.lr * (config.decay_to + (1 - config.decay_to) * falling)
