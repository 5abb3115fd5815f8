"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .config import OptimConfig
from .fused.adam import adam
from .fused.arrays import quiet
from .fused.threads import Map

CHUNK = 65_536
"""Numbers that a thread updates at a time."""


class Adam:
    """Adam over K models, each a row of trained numbers with settings and a step count of its own.

    Weight decay is decoupled (AdamW) or coupled (Adam), and is applied to every trained number, as in the
    published runs.
    """

    def __init__(self, configs: Sequence[OptimConfig], values: Float[Tensor, "K n_trained"]) -> None:
        self.configs, self.steps = list(configs), [0] * len(configs)
        self.values = values
        self.exp_avg, self.exp_avg_sq = torch.zeros_like(values), torch.zeros_like(values)

    @quiet
    def update(self, k: int, grads: Float[Tensor, " n_trained"], each: Map) -> None:
        """One step of model ``k``; ``each`` maps over chunks of its numbers."""
        config, lr = self.configs[k], lr_at(self.steps[k], self.configs[k])
        self.steps[k] += 1
        rows = (self.values[k], grads, self.exp_avg[k], self.exp_avg_sq[k])
        if self.values.device.type != "cpu" or self.values.dtype != torch.float32:
            _adam(*rows, self.steps[k], lr, config)
            return
        arrays = [row.numpy() for row in rows]
        settings = (lr, config.beta1, config.beta2, config.eps, config.weight_decay, config.optimizer == "adamw")

        def chunk(first: int) -> None:
            values, grads, mean, square = (array[first : first + CHUNK] for array in arrays)
            adam(values, grads, mean, square, self.steps[k], *settings)

        list(each(chunk, range(0, len(arrays[0]), CHUNK)))

    def keep(self, chosen: Sequence[int], values: Float[Tensor, "K n_trained"]) -> None:
        """Drop all models but these, whose numbers are now ``values``."""
        index = list(chosen)
        self.configs, self.steps = [self.configs[k] for k in index], [self.steps[k] for k in index]
        self.values, self.exp_avg, self.exp_avg_sq = values, self.exp_avg[index], self.exp_avg_sq[index]


def _adam(
    values: Tensor, grads: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, step: int, lr: float, config: OptimConfig
) -> None:
    """The same update in PyTorch, for other devices and precisions: see ``fused.adam``."""
    if config.optimizer == "adam":
        grads = grads + config.weight_decay * values
    else:
        values.mul_(1 - lr * config.weight_decay)
    exp_avg.lerp_(grads, 1 - config.beta1)
    exp_avg_sq.mul_(config.beta2).addcmul_(grads, grads, value=1 - config.beta2)
    scale = exp_avg_sq.sqrt().div_(math.sqrt(1 - config.beta2**step)).add_(config.eps)
    values.addcdiv_(exp_avg, scale, value=-lr / (1 - config.beta1**step))


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
