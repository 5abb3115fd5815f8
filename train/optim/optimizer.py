"""The optimiser and its learning rate."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from train.config.optim import OptimConfig
from train.passes.arrays import Array, quiet
from train.passes.threads import Map
from train.passes.weights import StackedWeights
from train.streams import normal

from .adam import adam
from .filters import FILTERS, Update, column, columns, set_norm
from .muon import is_stepped, muon
from .sgd import sgd

OBEYS = frozenset(
    f"optim.{name}"
    for name in (
        *("optimizer", "lr", "weight_decay", "decay_towards", "beta1", "beta2", "eps", "momentum", "muon_momentum"),
        *("warmup_steps", "decay_steps", "decay_to", "update_noise"),
    )
)
"""Settings that this file obeys."""
CHUNK = 65_536
"""Weights that a thread updates in one call."""


def state_shapes(config: OptimConfig) -> dict[str, tuple[int, ...]]:
    """Shape of the optimiser state per trained weight, by name; () is one number.

    The state holds Adam's moments (Muon and SGD keep their momentum in the first), and Grokfast's average or window of
    last gradients. The resume state saves all of these.
    """
    shapes: dict[str, tuple[int, ...]] = {"exp_avg": ()}
    if config.optimizer != "sgd":
        shapes["exp_avg_sq"] = ()
    if config.grokfast == "ema":
        shapes["grokfast"] = ()
    if config.grokfast_window is not None:
        shapes["last_grads"] = (config.grokfast_window,)
    return shapes


def numbers_saved(config: OptimConfig) -> int:
    """Numbers of optimiser state per trained weight, as saved in the resume state."""
    return sum(math.prod(shape) for shape in state_shapes(config).values())


def numbers_held(config: OptimConfig) -> int:
    """Numbers in memory per trained weight: weight, gradient, optimiser state, and the decay target if not 0."""
    return 2 + numbers_saved(config) + (config.decay_towards == "init")


class Optimizer:
    """The optimiser of K models, each a row of flattened trained weights with its own settings and step count.

    Adam with decoupled (AdamW) or coupled (Adam) weight decay on every trained weight, as in the published runs; SGD;
    or Muon on matrices and AdamW on the rest; each with the configured filters, noise and norm clamp.
    """

    def __init__(self, configs: Sequence[OptimConfig], weights: StackedWeights, seeds: Sequence[int]) -> None:
        """Take ``weights`` at their initial values, and rescale them in runs with a norm clamp.

        ``seeds`` are the seeds of the runs, from which update noise is drawn.
        """
        self.configs, self.steps, self.weights, self.seeds = list(configs), [0] * len(configs), weights, list(seeds)
        values = weights.values
        clamps = [1.0 if config.norm_clamp is None else config.norm_clamp for config in configs]
        self.norms = values.norm(dim=1, keepdim=True) * column(clamps, values)
        if self.configs[0].norm_clamp is not None:
            set_norm(values, self.norms)
        self.initial = values.clone() if self.configs[0].decay_towards == "init" else None
        """Target of weight decay [K, n_trained]; None for decay to zero."""
        self.filters = [one for one in FILTERS if one.acts(self.configs[0])]
        self.spans = self._spans()
        self.state = {
            name: values.new_zeros(len(values), *shape, values.shape[1])
            for name, shape in state_shapes(self.configs[0]).items()
        }
        """Optimiser state [K, ..., n_trained] by name: see ``state_shapes``."""

    def _spans(self) -> list[slice]:
        """Slices of a model's flattened weights that Adam updates: all, or the tensors that Muon does not update."""
        if self.configs[0].optimizer != "muon":
            return [slice(0, self.weights.values.shape[1])]
        spans, last = [], 0
        for name, shape in self.weights.trained.items():
            first, last = last, last + shape.numel()
            if not is_stepped(name):
                spans.append(slice(first, last))
        return spans

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all models except ``kept``; call after ``StackedWeights.keep``."""
        index = list(kept)
        self.configs, self.steps = [self.configs[k] for k in index], [self.steps[k] for k in index]
        self.norms, self.seeds = self.norms[index], [self.seeds[k] for k in index]
        self.initial = None if self.initial is None else self.initial[index]
        self.state = {name: rows[index] for name, rows in self.state.items()}

    @quiet
    def update(self, models: range, each: Map, more: Sequence[Array] = ()) -> None:
        """One optimiser step of some models; ``each`` maps over chunks of a model's weights.

        Gradient rows in ``more``, allowed for a single model only, are first added to the gradient.
        """
        steps = [self.steps[k] for k in models]
        for k in models:
            self.steps[k] += 1
        values, config = self.weights.values, self.configs[0]
        is_cpu = values.device.type == "cpu"
        for group in [range(k, k + 1) for k in models] if is_cpu else [models]:
            step = steps[group.start - models.start : group.stop - models.start]
            if self.needs_whole_gradient:
                for row in more:
                    self.weights.grads[group.start] += torch.from_numpy(row)
                more = ()
            self._filter(group, step)
            if config.optimizer == "sgd":
                self._sgd(group, step)
            elif is_cpu and values.dtype == torch.float32:
                self._compiled(group.start, step[0], each, more)
            else:
                self._together(group, step)
            if config.optimizer == "muon":
                self._muon(group, step)
            self._after(group, step)

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
        """``optim.adam`` in PyTorch for all models at once, for devices and precisions without the compiled update."""
        factors = [_factors(self.configs[k], step) for k, step in zip(models, steps, strict=True)]
        shrink, coupled, beta1, beta2, size, floor = columns(factors, self.weights.values)
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

    @property
    def needs_whole_gradient(self) -> bool:
        """Whether the update needs whole tensors of the gradient; plain Adam is elementwise."""
        config = self.configs[0]
        is_pulled = config.is_coupled and config.decay_towards == "init"
        return bool(self.filters) or config.optimizer in ("muon", "sgd") or is_pulled

    def _filter(self, models: range, steps: list[int]) -> None:
        """Apply the gradient filters, then coupled weight decay towards the initial weights."""
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        grads = self.weights.grads[rows]
        if self.filters:
            state = {name: tensor[rows] for name, tensor in self.state.items()}
            update = Update(configs, steps, self.weights.values[rows], grads, state, self.weights.split)
            for one in self.filters:
                one.change(update)
        if self.initial is not None and configs[0].is_coupled:
            grads.addcmul_(column([config.weight_decay for config in configs], grads), self.initial[rows], value=-1)

    def _sgd(self, models: range, steps: list[int]) -> None:
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        settings = [(c.momentum, lr_at(step, c), c.weight_decay) for c, step in zip(configs, steps, strict=True)]
        values, grads = self.weights.values[rows], self.weights.grads[rows]
        sgd(values, grads, self.state["exp_avg"][rows], *columns(settings, values))

    def _after(self, models: range, steps: list[int]) -> None:
        """Apply decoupled weight decay towards the initial weights, update noise and the norm clamp."""
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        values = self.weights.values[rows]
        if self.initial is not None and not configs[0].is_coupled:
            pulls = [lr_at(step, c) * c.weight_decay for c, step in zip(configs, steps, strict=True)]
            values.addcmul_(column(pulls, values), self.initial[rows])
        if configs[0].update_noise > 0:
            sizes = column([lr_at(step, c) * c.update_noise for c, step in zip(configs, steps, strict=True)], values)
            for i, k in enumerate(models):
                values[i] += sizes[i] * normal(self.seeds[k], f"update_noise/{steps[i]}", values[i])
        if configs[0].norm_clamp is not None:
            set_norm(values, self.norms[rows])

    def _muon(self, models: range, steps: list[int]) -> None:
        rows, configs = slice(models.start, models.stop), [self.configs[k] for k in models]
        values, grads, momentum = (
            self.weights.split(t[rows]) for t in (self.weights.values, self.weights.grads, self.state["exp_avg"])
        )
        settings = [(c.muon_momentum, lr_at(step, c), c.weight_decay) for c, step in zip(configs, steps, strict=True)]
        setting_columns = columns(settings, self.weights.values)
        for name in filter(is_stepped, values):
            muon(values[name], grads[name], momentum[name], *setting_columns)


def _factors(config: OptimConfig, step: int) -> tuple[float, ...]:
    """Factors of Adam's update made at ``step`` (0 is the first): Kingma and Ba 2015 (1412.6980), section 2.

    Returns:
        shrink: factor on the weights, for decoupled weight decay (Loshchilov and Hutter 2019, 1711.05101, algorithm 2).
        coupled: coefficient of the weights in the gradient, for coupled weight decay.
        beta1, beta2: decays of the moments.
        size, floor: learning rate and epsilon, including the bias corrections of both moments.
    """
    lr, correction = lr_at(step, config), math.sqrt(1 - config.beta2 ** (step + 1))
    is_decoupled = not config.is_coupled
    return (
        1 - lr * config.weight_decay if is_decoupled else 1.0,
        0.0 if is_decoupled else config.weight_decay,
        config.beta1,
        config.beta2,
        lr * correction / (1 - config.beta1 ** (step + 1)),
        config.eps * correction,
    )


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
