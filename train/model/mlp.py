"""HookedMLP: hidden layers on a row's concatenated embeddings, with the transformer's parameter and hook names."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from train.errors import UsageError

from .base import HookedModel, as_batch
from .components import ACTIVATIONS, Embed, Unembed, zeros
from .config import HookedTransformerConfig


class HiddenLayer(nn.Module):
    """One hidden layer; activations have a position axis of size 1, so that they are shaped like a transformer's."""

    def __init__(self, cfg: HookedTransformerConfig, d_in: int):
        super().__init__()
        self.activation = ACTIVATIONS[cfg.act_fn]
        self.W_in = zeros(cfg, d_in, cfg.d_mlp)
        self.b_in = zeros(cfg, cfg.d_mlp)
        self.hook_pre = HookPoint()  # [batch, 1, d_mlp]
        self.hook_post = HookPoint()  # [batch, 1, d_mlp]

    def forward(self, x: Float[Tensor, "batch 1 d_in"]) -> Float[Tensor, "batch 1 d_mlp"]:
        """Activations of the layer."""
        return self.hook_post(self.activation(self.hook_pre(x @ self.W_in + self.b_in)))


class HookedMLP(HookedModel):
    """A model from concatenated embeddings through hidden layers to logits; ``unembed.W_U`` is [d_mlp, d_vocab_out].

    The logits are repeated at every position (a view, no copy), so that ``logits[:, answer_position]`` reads
    as it does for a transformer.
    """

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__(cfg)
        self.embed = Embed(cfg)
        self.hook_embed = HookPoint()  # [batch, n_ctx, d_model]
        widths = [cfg.n_ctx * cfg.d_model] + [cfg.d_mlp] * (cfg.n_layers - 1)
        self.blocks = nn.ModuleList(nn.ModuleDict({"mlp": HiddenLayer(cfg, d_in)}) for d_in in widths)
        self.unembed = Unembed(cfg, cfg.d_mlp)
        self.finish()

    def forward(self, tokens: Int[Tensor, "*batch n_ctx"]) -> Float[Tensor, "batch n_ctx d_vocab_out"]:
        """Logits; a single row may come as [pos].

        Raises:
            UsageError: rows have another length than the model's.
        """
        tokens = as_batch(tokens)
        if tokens.shape[1] != self.cfg.n_ctx:
            raise UsageError(f"rows of {tokens.shape[1]} tokens; this model reads {self.cfg.n_ctx}")
        x = rearrange(self.hook_embed(self.embed(tokens)), "batch pos d_model -> batch 1 (pos d_model)")
        for layer in self._layers():
            x = layer(x)
        return self.unembed(x).expand(-1, tokens.shape[1], -1)

    @property
    def W_in(self) -> list[Float[Tensor, "d_in d_mlp"]]:
        """Input matrices of the hidden layers, a list because their shapes differ."""
        return [layer.W_in for layer in self._layers()]

    @property
    def b_in(self) -> Float[Tensor, "n_layers d_mlp"]:
        """Biases of the hidden layers."""
        return torch.stack([layer.b_in for layer in self._layers()])

    def _layers(self) -> list[HiddenLayer]:
        return [block["mlp"] for block in self.blocks]  # type: ignore[index]
