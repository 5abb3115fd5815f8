"""Small models for the compatibility tests, and the installed version of TransformerLens."""

from typing import Any

import pytest
import torch
import transformer_lens

from train.config.model import ModelConfig
from train.config.run import RunConfig
from train.config.task import TaskConfig
from train.model import build_model

P, LAYERS, HEADS, WIDTH, D_HEAD, D_MLP = 7, 2, 4, 16, 4, 8
EPS = torch.finfo(torch.float64).eps

package: Any = transformer_lens
try:
    LegacyTransformer = package.HookedTransformer
    LegacyConfig = package.HookedTransformerConfig
    IS_4 = False
except ImportError:
    LegacyTransformer = LegacyConfig = package  # not called: the tests that do are skipped
    IS_4 = True

only_4 = pytest.mark.skipif(not IS_4, reason="tool of TransformerLens 4; runs under 4")
only_3 = pytest.mark.skipif(IS_4, reason="needs TransformerLens 3.9's HookedTransformer: make compat")


def make(dtype=torch.float64, with_norm_weights=False, **choices: Any) -> Any:
    """A model with random biases; norms at scale 1 and shift 0 (as after folding) unless asked otherwise."""
    choices = {"n_layers": LAYERS, "d_model": WIDTH, "n_heads": HEADS, "d_mlp": D_MLP} | choices
    choices = {"biases": "all", "outputs": "answers"} | choices
    model = build_model(RunConfig(task=TaskConfig(p=P), model=ModelConfig(**choices), seed=1))
    model = model.to(dtype).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and (with_norm_weights or ".ln" not in name and "ln_final" not in name):
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    return model


def rows(n=5) -> torch.Tensor:
    a, b = torch.arange(n) % P, (3 * torch.arange(n) + 1) % P
    return torch.stack([a, b, torch.full_like(a, P)], dim=1)


def assert_close(got, want):
    """Assert equality up to rounding in sums of a few hundred terms."""
    scale = 500 * torch.finfo(want.dtype).eps * want.abs().max().clamp(min=1)
    assert got.shape == want.shape and (got - want).abs().max() <= scale, (got - want).abs().max()
