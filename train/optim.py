"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .config import OptimConfig
from .fused.adam import adam
from .fused.arrays import Array, quiet
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
    def update(self, models: range, grads: Float[Tensor, "K n_trained"], each: Map, more: Sequence[Array] = ()) -> None:
        """One step of these models, of all K gradients; ``each`` maps over chunks of a model's numbers.

        Rows ``more`` are first added to the gradient of the one model.
        """
        steps = [self.steps[k] for k in models]
        for k in models:
            self.steps[k] += 1
        if self.values.device.type != "cpu" or self.values.dtype != torch.float32:
            self._together(models, grads, steps)
            return
        for k, step in zip(models, steps, strict=True):
            self._compiled(k, grads[k], step, each, more)

    def _compiled(self, k: int, grads: Tensor, step: int, each: Map, more: Sequence[Array]) -> None:
        config, lr = self.configs[k], lr_at(step, self.configs[k])
        arrays = [row.numpy() for row in (self.values[k], grads, self.exp_avg[k], self.exp_avg_sq[k])]
        settings = (lr, config.beta1, config.beta2, config.eps, config.weight_decay, config.optimizer == "adamw")

        def chunk(first: int) -> None:
            values, grads, mean, square = (array[first : first + CHUNK] for array in arrays)
            for row in more:
                grads += row[first : first + CHUNK]
            adam(values, grads, mean, square, step + 1, *settings)

        list(each(chunk, range(0, len(arrays[0]), CHUNK)))

    def _together(self, models: range, grads: Tensor, steps: list[int]) -> None:
        """The same update in PyTorch, for other devices and precisions, of all rows at once: see ``fused.adam``."""
        rows = slice(models.start, models.stop)
        values, grads, mean, square = (t[rows] for t in (self.values, grads, self.exp_avg, self.exp_avg_sq))
        settings = [_settings(self.configs[k], step) for k, step in zip(models, steps, strict=True)]
        shrink, coupled, new1, keep2, size, floor = _columns(settings, values)
        grads = torch.addcmul(grads, coupled, values)
        mean.add_(new1 * (grads - mean))
        square.mul_(keep2).addcmul_(grads * (1 - keep2), grads)
        values.mul_(shrink).sub_(size * mean / (square.sqrt() + floor))

    def keep(self, chosen: Sequence[int], values: Float[Tensor, "K n_trained"]) -> None:
        """Drop all models but these, whose numbers are now ``values``."""
        index = list(chosen)
        self.configs, self.steps = [self.configs[k] for k in index], [self.steps[k] for k in index]
        self.values, self.exp_avg, self.exp_avg_sq = values, self.exp_avg[index], self.exp_avg_sq[index]


def _settings(config: OptimConfig, step: int) -> tuple[float, ...]:
    """Factors of the update made at ``step`` (0 is the first), in the order that ``_together`` names them."""
    lr, correction = lr_at(step, config), math.sqrt(1 - config.beta2 ** (step + 1))
    is_decoupled = config.optimizer == "adamw"
    return (
        1 - lr * config.weight_decay if is_decoupled else 1.0,
        0.0 if is_decoupled else config.weight_decay,
        1 - config.beta1,
        config.beta2,
        lr * correction / (1 - config.beta1 ** (step + 1)),
        config.eps * correction,
    )


def _columns(rows: list[tuple[float, ...]], like: Tensor) -> Sequence[Float[Tensor, "K 1"]]:
    """Each setting as a column on the device of ``like``, to which nothing waits for their way there."""
    table = torch.tensor(rows, dtype=like.dtype)
    if like.device.type == "cuda":
        table = table.pin_memory()
    return table.to(like.device, non_blocking=True).split(1, dim=1)


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
