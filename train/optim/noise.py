"""Gaussian noise on the weights at which gradients are taken."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from train.config.run import RunConfig
from train.streams import normal

OBEYS = frozenset({"optim.weight_noise"})
"""Settings that this file obeys."""


def add_weight_noise(values: Float[Tensor, "K n"], configs: Sequence[RunConfig], steps: Sequence[int]) -> None:
    """Add ``weight_noise`` times N(0, 1) to each model's weights in place, from a random stream per run and update.

    Source: Power et al. 2022 (2201.02177), A.1.2.
    """
    for row, config, step in zip(values, configs, steps, strict=True):
        row += config.optim.weight_noise * normal(config.seed, f"weight_noise/{step}", row)
