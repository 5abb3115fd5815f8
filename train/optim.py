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
        self.spans = self._spans()
        names = ["exp_avg", "exp_avg_sq"] + ["grokfast"] * (self.configs[0].grokfast_alpha is not None)
        self.state = {name: torch.zeros_like(values) for name in names}
        """Adam's moments (of its matrices, Muon keeps the momentum in the first), and Grokfast's average."""

    def _spans(self) -> list[slice]:
        """Which of a model's numbers Adam steps: all, or tensors that are not Muon's."""
        if self.configs[0].optimizer != "muon":
            return [slice(0, self.weights.values.shape[1])]
        spans, last = [], 0
        for name, shape in self.weights.trained.items():
            first, last = last, last + shape.numel()
            if not is_stepped(name):
                spans.append(slice(first, last))
        return spans

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
            if config.needs_whole_gradient:
                for row in more:
                    self.weights.grads[group.start] += torch.from_numpy(row)
                more = ()
            self._filter(group, step)
            if is_cpu and values.dtype == torch.float32:
                self._compiled(group.start, step[0], each, more)
            else:
                self._together(group, step)
            if config.optimizer == "muon":
                self._muon(group, step)
            if config.norm_clamp is not None:
                rows = slice(group.start, group.stop)
                set_norm(values[rows], self.norms[rows])

    # ---- Adam ------------------------------------------------------------------------------------

    def _compiled(self, k: int, step: int, each: Map, more: Sequence[Array]) -> None:
        factors = _factors(self.configs[k], step)
        arrays = [rows[k].numpy() for rows in self._numbers()]

        def chunk(some: slice) -> None:
            values, grads, mean, square = (array[some] for array in arrays)
            for row in more:
                grads += row[some]
            adam(values, grads, mean, square, *factors)

        ends = [(first, span.stop) for span in self.spans for first in range(span.start, span.stop, CHUNK)]
        list(each(chunk, [slice(first, min(first + CHUNK, last)) for first, last in ends]))

    def _together(self, models: range, steps: list[int]) -> None:
        """The same update in PyTorch, for other devices and precisions, of all rows at once: see ``fused.adam``."""
        factors = [_factors(self.configs[k], step) for k, step in zip(models, steps, strict=True)]
        shrink, coupled, beta1, beta2, size, floor = _columns(factors, self.weights.values)
        for span in self.spans:
            values, grads, mean, square = (t[models.start : models.stop, span] for t in self._numbers())
            grads = torch.addcmul(grads, coupled, values)
            mean.add_((1 - beta1) * (grads - mean))
            square.mul_(beta2).addcmul_(grads * (1 - beta2), grads)
            values.mul_(shrink).sub_(size * mean / (square.sqrt() + floor))

    def _numbers(self) -> tuple[Tensor, ...]:
        """Values, gradients and both moments [K, n_trained]."""
        return self.weights.values, self.weights.grads, self.state["exp_avg"], self.state["exp_avg_sq"]

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

    def _muon(self, models: range, steps: list[int]) -> None:
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        values, grads, momentum = (
            self.weights.split(t[rows]) for t in (self.weights.values, self.weights.grads, self.state["exp_avg"])
        )
        given = [(c.muon_momentum, lr_at(step, c), c.weight_decay) for c, step in zip(configs, steps, strict=True)]
        settings = _columns(given, self.weights.values)
        for name in filter(is_stepped, values):
            muon(values[name], grads[name], momentum[name], *settings)


def _factors(config: OptimConfig, step: int) -> tuple[float, ...]:
    """What Adam's update made at ``step`` (0 is the first) depends on: Kingma and Ba 2015 (1412.6980), section 2.

    Returns:
        shrink: multiplies values, by decoupled weight decay (Loshchilov and Hutter 2019, 1711.05101, algorithm 2).
        coupled: times the values is added to gradients, by coupled weight decay.
        beta1, beta2: decays of the moments.
        size, floor: learning rate and epsilon with the bias corrections of both moments.
    """
    lr, correction = lr_at(step, config), math.sqrt(1 - config.beta2 ** (step + 1))
    is_decoupled = config.optimizer != "adam"
    return (
        1 - lr * config.weight_decay if is_decoupled else 1.0,
        0.0 if is_decoupled else config.weight_decay,
        config.beta1,
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
