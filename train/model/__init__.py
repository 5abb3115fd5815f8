"""The models, a hooked transformer and a hooked MLP: the only part of train that imports transformer_lens."""

from .config import HookedTransformerConfig, hooked_config
from .init import build_model, count_weights, parameter_shapes
from .mlp import HookedMLP
from .transformer import HookedTransformer

__all__ = [
    "HookedMLP",
    "HookedTransformer",
    "HookedTransformerConfig",
    "build_model",
    "count_weights",
    "hooked_config",
    "parameter_shapes",
]
