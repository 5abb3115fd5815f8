"""The optimiser and its learning rate."""

from collections.abc import Iterable

import torch

from .config import OptimConfig


def build_optimizer(parameters: Iterable[torch.nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW (decoupled weight decay) or Adam (coupled), over the parameters that are trained.

    Weight decay is applied to every trained tensor, as in the published runs.
    """
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    trained = [p for p in parameters if p.requires_grad]
    return kinds[config.optimizer](
        trained,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def lr_at(step: int, config: OptimConfig) -> float:
    """Learning rate of the update made at ``step`` (0 is the first): linear warm-up from 0, then constant.

    With warm-up the first update has learning rate 0, as in Power et al. 2022 and Nanda et al. 2023 (both
    codes multiply by min(step / 10, 1)).
    """
    if config.warmup_steps == 0:
        return config.lr
    return config.lr * min(step / config.warmup_steps, 1.0)
