"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .config import OptimConfig
from .filters import amplify_slow, set_norm, take_out_scaling
from .fused.adam import adam
from .fused.arrays import Array, quiet
from .fused.threads import Map
from .muon import is_stepped, muon
from .weights import StackedWeights

CHUNK = 65_536
"""Numbers that a thread updates at a time."""


class Optimizer:
    """Steps K models, each a row of trained numbers with settings and a step count of its own.

    Adam with decoupled (AdamW) or coupled (Adam) weight decay on every trained number, as in the published runs, or
    Muon on matrices and AdamW on the rest; ``filters`` before and after, where they are asked for.
    """

    def __init__(self, configs: Sequence[OptimConfig], weights: StackedWeights) -> None:
        """``weights`` are at their initial values: those of a run with a constant norm are scaled to it."""
        self.configs, self.steps, self.weights = list(configs), [0] * len(configs), weights
        values = weights.values
        clamps = [1.0 if config.norm_clamp is None else config.norm_clamp for config in configs]
        self.norms = values.norm(dim=1, keepdim=True) * _column(clamps, values)
        if self.configs[0].norm_clamp is not None:
            set_norm(values, self.norms)
        self.state = {name: torch.zeros_like(values) for name in self._state_names()}

    def _state_names(self) -> list[str]:
        """Adam's moments (of matrices, Muon keeps its momentum in the first), and Grokfast's average."""
        return ["exp_avg", "exp_avg_sq"] + ["grokfast"] * (self.configs[0].grokfast_alpha is not None)

    def keep(self, chosen: Sequence[int]) -> None:
        """Drop all models but these; the weights have done so."""
        index = list(chosen)
        self.configs, self.steps = [self.configs[k] for k in index], [self.steps[k] for k in index]
        self.norms = self.norms[index]
        self.state = {name: rows[index] for name, rows in self.state.items()}

    @quiet
    def update(self, models: range, each: Map, more: Sequence[Array] = ()) -> None:
        """One step of these models; ``each`` maps over chunks of a model's numbers.

        Rows ``more`` are first added to the gradient of the one model.
        """
        steps = [self.steps[k] for k in models]
        for k in models:
            self.steps[k] += 1
        values, config = self.weights.values, self.configs[0]
        is_cpu = values.device.type == "cpu"
        for group in [range(k, k + 1) for k in models] if is_cpu else [models]:  # a model's numbers are its own
            step = steps[group.start - models.start : group.stop - models.start]
            if config.is_filtered:
                for row in more:
                    self.weights.grads[group.start] += torch.from_numpy(row)
                more = ()
                self._filter(group, step)
            matrices = self._save_matrices(group) if config.optimizer == "muon" else {}
            if is_cpu and values.dtype == torch.float32:
                self._compiled(group.start, step[0], each, more)
            else:
                self._together(group, step)
            self._muon(group, step, matrices)
            if config.norm_clamp is not None:
                rows = slice(group.start, group.stop)
                set_norm(values[rows], self.norms[rows])

    # ---- Adam ------------------------------------------------------------------------------------

    def _compiled(self, k: int, step: int, each: Map, more: Sequence[Array]) -> None:
        config, lr = self.configs[k], lr_at(step, self.configs[k])
        rows = (self.weights.values, self.weights.grads, self.state["exp_avg"], self.state["exp_avg_sq"])
        arrays = [row[k].numpy() for row in rows]
        settings = (lr, config.beta1, config.beta2, config.eps, config.weight_decay, config.optimizer != "adam")

        def chunk(first: int) -> None:
            values, grads, mean, square = (array[first : first + CHUNK] for array in arrays)
            for row in more:
                grads += row[first : first + CHUNK]
            adam(values, grads, mean, square, step + 1, *settings)

        list(each(chunk, range(0, len(arrays[0]), CHUNK)))

    def _together(self, models: range, steps: list[int]) -> None:
        """The same update in PyTorch, for other devices and precisions, of all rows at once: see ``fused.adam``."""
        rows = slice(models.start, models.stop)
        values, grads, mean, square = (t[rows] for t in (self.weights.values, self.weights.grads, *self._moments()))
        settings = [_settings(self.configs[k], step) for k, step in zip(models, steps, strict=True)]
        shrink, coupled, new1, keep2, size, floor = _columns(settings, values)
        grads = torch.addcmul(grads, coupled, values)
        mean.add_(new1 * (grads - mean))
        square.mul_(keep2).addcmul_(grads * (1 - keep2), grads)
        values.mul_(shrink).sub_(size * mean / (square.sqrt() + floor))

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self.state["exp_avg"], self.state["exp_avg_sq"]

    # ---- before and after ------------------------------------------------------------------------

    def _filter(self, models: range, steps: list[int]) -> None:
        rows, config = slice(models.start, models.stop), self.configs[0]
        grads = self.weights.grads[rows]
        if config.orthogonal_gradient:
            take_out_scaling(self.weights.split(grads), self.weights.split(self.weights.values[rows]))
        if config.grokfast_alpha is not None:
            given = [(self.configs[k].grokfast_alpha, self.configs[k].grokfast_lambda) for k in models]
            alpha, strength = _columns(given, grads)
            is_first = _column([float(step == 0) for step in steps], grads) > 0
            amplify_slow(grads, self.state["grokfast"][rows], alpha, strength, is_first)

    def _save_matrices(self, models: range) -> dict[str, tuple[Tensor, Tensor]]:
        """Values and momentum of Muon's matrices before AdamW, which takes rows whole, steps them too."""
        rows = slice(models.start, models.stop)
        values, momentum = (self.weights.split(t[rows]) for t in (self.weights.values, self.state["exp_avg"]))
        return {name: (values[name].clone(), momentum[name].clone()) for name in values if is_stepped(name)}

    def _muon(self, models: range, steps: list[int], before: dict[str, tuple[Tensor, Tensor]]) -> None:
        if not before:
            return
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        values, grads, momentum = (
            self.weights.split(t[rows]) for t in (self.weights.values, self.weights.grads, self.state["exp_avg"])
        )
        given = [(c.muon_momentum, lr_at(step, c), c.weight_decay) for c, step in zip(configs, steps, strict=True)]
        settings = _columns(given, self.weights.values)
        for name, (value, mean) in before.items():
            values[name].copy_(value)
            momentum[name].copy_(mean)
            muon(values[name], grads[name], momentum[name], *settings)


def _settings(config: OptimConfig, step: int) -> tuple[float, ...]:
    """Factors of the update made at ``step`` (0 is the first), in the order that ``_together`` names them."""
    lr, correction = lr_at(step, config), math.sqrt(1 - config.beta2 ** (step + 1))
    is_decoupled = config.optimizer != "adam"
    return (
        1 - lr * config.weight_decay if is_decoupled else 1.0,
        0.0 if is_decoupled else config.weight_decay,
        1 - config.beta1,
        config.beta2,
        lr * correction / (1 - config.beta1 ** (step + 1)),
        config.eps * correction,
    )


def _column(numbers: Sequence[float], like: Tensor) -> Float[Tensor, "K 1"]:
    return _columns([(number,) for number in numbers], like)[0]


def _columns(rows: Sequence[tuple[Any, ...]], like: Tensor) -> Sequence[Float[Tensor, "K 1"]]:
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
