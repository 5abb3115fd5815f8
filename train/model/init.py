"""Initial weights, by named scheme, times ``init_scale``. Biases start at 0, layer norms at scale 1 and shift 0.

nanda             randn / sqrt(d_model) for every W_*, W_out included, except W_U: randn / sqrt(d_vocab)
                  (Nanda et al. 2023, 2301.05217, their transformers.py). In an MLP: randn / sqrt(fan-in).
zhong             as nanda, but W_in: randn / sqrt(d_mlp) (Zhong et al. 2023, 2306.17844, train-main.py).
                  In an MLP: as nanda.
transformerlens   N(0, 0.8 / sqrt(d_model)) for every W_*; drawn from ``seed`` itself in TransformerLens 3.9's
                  order, so that its HookedTransformer with this seed has the same weights, bit for bit.
pytorch           embeddings N(0, 1), matrices uniform within 1 / sqrt(fan-in) (Power et al. 2022, 2201.02177,
                  whose code leaves PyTorch's defaults).
"""

import torch
from torch import Tensor

from train.config.run import RunConfig
from train.streams import stream

from .base import HookedModel
from .config import HookedTransformerConfig, hooked_config
from .mlp import HookedMLP
from .transformer import HookedTransformer

OBEYS = frozenset({"model.init", "model.init_scale"})
"""Settings that this file obeys."""


def build_model(run_config: RunConfig, device: str | torch.device = "cpu") -> HookedTransformer | HookedMLP:
    """A run's model with its initial weights, drawn on the CPU so that they are the same on every device."""
    model = _empty_model(hooked_config(run_config))
    initialize(model, run_config.seed)
    return model.to(device)


def _empty_model(cfg: HookedTransformerConfig) -> HookedTransformer | HookedMLP:
    return HookedMLP(cfg) if cfg.n_heads == 0 else HookedTransformer(cfg)


def parameter_shapes(cfg: HookedTransformerConfig) -> dict[str, torch.Size]:
    """Shape of every parameter by name, without allocating the parameters."""
    with torch.device("meta"):
        model = _empty_model(cfg)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def count_weights(run_config: RunConfig) -> int:
    """Number of weights of a run's model, trained or not."""
    return sum(shape.numel() for shape in parameter_shapes(hooked_config(run_config)).values())


@torch.no_grad()
def initialize(model: HookedModel, seed: int) -> None:
    """Draw every trained W_* by the scheme ``cfg.init_mode``, in the order of ``named_parameters``."""
    cfg = model.cfg
    follows_transformer_lens = cfg.init_mode == "transformerlens"
    generator = torch.Generator().manual_seed(seed) if follows_transformer_lens else stream(seed, "init")
    for path, weight in model.named_parameters():
        name = path.rpartition(".")[2]
        if not name.startswith("W_") or not weight.requires_grad:
            continue
        if follows_transformer_lens:
            weight.normal_(0, cfg.initializer_range, generator=generator)
        elif cfg.init_mode == "pytorch" and name not in ("W_E", "W_pos"):
            bound = _fan_in(name, weight) ** -0.5
            weight.uniform_(-bound, bound, generator=generator)
        elif cfg.init_mode == "pytorch":
            weight.normal_(0, 1, generator=generator)
        else:
            weight.normal_(0, _nanda_width(cfg, name, weight) ** -0.5, generator=generator)
        if cfg.init_scale != 1:
            weight.mul_(cfg.init_scale)


def _nanda_width(cfg: HookedTransformerConfig, name: str, weight: Tensor) -> int:
    """The number by whose square root the schemes nanda and zhong divide."""
    if cfg.n_heads == 0:
        return cfg.d_model if name == "W_E" else _fan_in(name, weight)
    special = {"W_U": cfg.d_vocab} | ({"W_in": cfg.d_mlp} if cfg.init_mode == "zhong" else {})
    return special.get(name, cfg.d_model)


def _fan_in(name: str, weight: Tensor) -> int:
    """Number of inputs of each output of a matrix; W_O sums over all heads."""
    return weight.shape[0] * weight.shape[1] if name == "W_O" else weight.shape[-2]
