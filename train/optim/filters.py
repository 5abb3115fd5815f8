"""Gradient filters before the optimiser's step, and the norm clamp after the step; R models at once, in place.

A gradient filter is one function decorated with ``@gradient_filter`` and the settings that it implements. The filters
of a run are applied in the order of this file.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from train.config.optim import OptimConfig

Tensors = Mapping[str, Float[Tensor, "R ..."]]
TINY = 1e-30
DEFAULTS = {field.name: field.default for field in dataclasses.fields(OptimConfig)}


@dataclass(frozen=True)
class Update:
    """Input of a gradient filter: R models of a stack at one update, whose gradients the filter changes in place."""

    configs: Sequence[OptimConfig]
    steps: Sequence[int]
    """Number of updates that each model has completed."""
    values: Float[Tensor, "R n"]
    grads: Float[Tensor, "R n"]
    state: Mapping[str, Tensor]
    """Optimiser state [R, ..., n] by name: see ``optimizer.state_shapes``."""
    split: Callable[[Tensor], Tensors]
    """A function from flattened weights to views with the shapes of the model's tensors, by name."""


@dataclass(frozen=True)
class GradientFilter:
    """A gradient filter and the settings that it implements; the filter is on if the first is not at its default."""

    settings: tuple[str, ...]
    change: Callable[[Update], None]

    def acts(self, config: OptimConfig) -> bool:
        """Whether the config asks for this filter."""
        return getattr(config, self.settings[0]) != DEFAULTS[self.settings[0]]


FILTERS: list[GradientFilter] = []
"""Every filter, in the order of application."""


def gradient_filter(*settings: str) -> Callable[[Callable[[Update], None]], Callable[[Update], None]]:
    """Register a function in ``FILTERS``, with the fields of ``OptimConfig`` that the function implements."""

    def register(change: Callable[[Update], None]) -> Callable[[Update], None]:
        FILTERS.append(GradientFilter(settings, change))
        return change

    return register


def column(numbers: Sequence[float], like: Tensor) -> Float[Tensor, "K 1"]:
    """One setting of K models as a column on the device of ``like``."""
    return columns([(number,) for number in numbers], like)[0]


def columns(rows: Sequence[tuple[Any, ...]], like: Tensor) -> Sequence[Float[Tensor, "K 1"]]:
    """Several settings of K models (one row a model) as columns on the device of ``like``, copied without a sync."""
    table = torch.tensor(rows, dtype=like.dtype)
    if like.device.type == "cuda":
        table = table.pin_memory()
    return table.to(like.device, non_blocking=True).split(1, dim=1)


# ---- filters ---------------------------------------------------------------------------------------


@gradient_filter("orthogonal_gradient")
def orthogonal_gradient(update: Update) -> None:
    """Remove from each tensor's gradient the component along the tensor."""
    take_out_scaling(update.split(update.grads), update.split(update.values))


@gradient_filter("grokfast_alpha", "grokfast_lambda", "grokfast_from")
def grokfast_ema(update: Update) -> None:
    """Add a multiple of the moving average of the gradients."""
    ages, strengths = _grokfast(update)
    alphas = [config.grokfast_alpha for config in update.configs]
    firsts = [float(age == 0) for age in ages]
    alpha, strength, first = columns(list(zip(alphas, strengths, firsts, strict=True)), update.grads)
    amplify_slow(update.grads, update.state["grokfast"], alpha, strength, first > 0)


@gradient_filter("grokfast_window", "grokfast_lambda", "grokfast_from")
def grokfast_ma(update: Update) -> None:
    """Add a multiple of the mean of the last gradients."""
    ages, strengths = _grokfast(update)
    add_mean(update.grads, update.state["last_grads"], column(strengths, update.grads), ages)


def _grokfast(update: Update) -> tuple[list[int], list[float]]:
    """Updates since Grokfast began, and the factor on the average (0 before it began), of each model."""
    ages = [step - config.grokfast_from for config, step in zip(update.configs, update.steps, strict=True)]
    strengths = [config.grokfast_lambda * (age >= 0) for config, age in zip(update.configs, ages, strict=True)]
    return ages, strengths


OBEYS = frozenset(f"optim.{name}" for one in FILTERS for name in one.settings) | {"optim.norm_clamp"}
"""Settings that this file obeys."""


# ---- formulas --------------------------------------------------------------------------------------


def take_out_scaling(grads: Tensors, values: Tensors) -> None:
    """Orthogonal gradient: remove the component of each gradient along its tensor, and restore the gradient's norm.

    A step along a weight tensor only rescales the tensor, which lowers the loss of a model that has memorised without
    changing its answers. Prieto et al. 2025 (2501.04697), section 5, and their code.
    """
    for name, grad in grads.items():
        g, w = grad.flatten(1), values[name].flatten(1)
        along = (w * g).sum(dim=1, keepdim=True) / ((w * w).sum(dim=1, keepdim=True) + TINY)
        rest = g - along * w
        rest *= g.norm(dim=1, keepdim=True) / (rest.norm(dim=1, keepdim=True) + TINY)
        grad.copy_(rest.unflatten(1, grad.shape[1:]))


def amplify_slow(
    grads: Float[Tensor, "R n"],
    average: Float[Tensor, "R n"],
    alpha: Float[Tensor, "R 1"],
    strength: Float[Tensor, "R 1"],
    is_first: Bool[Tensor, "R 1"],
) -> None:
    """Grokfast-EMA: add ``strength`` times a moving average of gradients, initialised with the first gradient.

    Lee et al. 2024 (2405.20233), algorithm 2; their code begins the average with the first gradient. ``strength`` is
    0 for a model whose filter has not started.
    """
    average.mul_(alpha).add_((1 - alpha) * grads)
    average.copy_(torch.where(is_first, grads, average))
    grads.add_(strength * average)


def add_mean(
    grads: Float[Tensor, "R n"],
    last: Float[Tensor, "R window n"],
    strength: Float[Tensor, "R 1"],
    ages: Sequence[int],
) -> None:
    """Grokfast-MA: add ``strength`` times the mean of the last gradients, including this one, once the window is full.

    Lee et al. 2024 (2405.20233) and their code, whose filter waits for the window to be full.

    Args:
        grads: gradients of R models, changed in place.
        last: each model's last gradients as a ring buffer; the current gradient replaces the oldest.
        strength: lambda.
        ages: number of gradients that each model's filter has seen before this one; negative if not started.
    """
    window = last.shape[1]
    for row, age in enumerate(ages):
        if age < 0:
            continue
        last[row, age % window] = grads[row]
        if age + 1 >= window:
            grads[row] += strength[row] * last[row].mean(dim=0)


def set_norm(values: Float[Tensor, "R n"], norm: Float[Tensor, "R 1"]) -> None:
    """Rescale each model's trained weights to a given total norm: Liu et al. 2022 (2210.01117), section 2."""
    values.mul_(norm / values.norm(dim=1, keepdim=True))
