"""Residual dropout: masks on the output of each sublayer, drawn for every row of an update."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from train.streams import stream

OBEYS = frozenset({"optim.dropout"})
"""Settings that this file obeys."""
Masks = Mapping[str, Float[Tensor, "rows queries d_model"]]
"""Masks by hook name; entries are 0 or 1/(1 - rate)."""
Drop = Callable[[str, Tensor], Tensor]
"""A function from a sublayer's hook name and output to the output after dropout."""


def keep_all(name: str, output: Tensor) -> Tensor:
    """The unchanged output: no dropout."""
    return output


def sites(cfg: Any, n_answers: int) -> dict[str, int]:
    """Hook names of the sublayers' outputs, and the number of positions at which each output is computed."""
    queries = [cfg.n_ctx] * (cfg.n_layers - 1) + [n_answers]
    parts = ("attn",) if cfg.attn_only else ("attn", "mlp")
    return {f"blocks.{i}.hook_{part}_out": n for i, n in enumerate(queries) for part in parts}


def masks(
    seed: int, step: int, rate: float, rows: int, cfg: Any, n_answers: int, device: torch.device | str
) -> dict[str, Float[Tensor, "rows queries d_model"]]:
    """Masks of the update made at ``step``.

    Vaswani et al. 2017 (1706.03762), section 5.4, without dropout of embeddings; Power et al. 2022 (2201.02177), A.1.2,
    whose code applies dropout to the MLP's output only.
    """
    generator = stream(seed, f"dropout/{step}", device)
    shapes = {name: (rows, n, cfg.d_model) for name, n in sites(cfg, n_answers).items()}
    drawn = {name: torch.rand(shape, generator=generator, device=device) for name, shape in shapes.items()}
    return {name: (uniform >= rate).float() / (1 - rate) for name, uniform in drawn.items()}


def dropping(masks: Masks) -> Drop:
    """A function that multiplies a sublayer's output by its mask."""
    return lambda name, output: output * masks[name].to(output.dtype)
