"""HookedTransformer: a small reimplementation of the class that TransformerLens 4 removed, for versions 3.9 and 4.

Names, shapes and methods are those that ActivationCache, ``transformer_lens.patching`` and the analysis tools
of TransformerLens use. Post-norm, sinusoidal positions, an attention rate and frozen biases are additions.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import FactoredMatrix
from transformer_lens.hook_points import HookPoint
from transformer_lens.utilities.matrix import composition_scores

from .base import HookedModel, as_batch
from .components import Embed, LayerNorm, PosEmbed, TransformerBlock, Unembed
from .config import HookedTransformerConfig

FLAGS = {
    "attn.hook_result": "use_attn_result",
    "hook_q_input": "use_split_qkv_input",
    "hook_k_input": "use_split_qkv_input",
    "hook_v_input": "use_split_qkv_input",
    "hook_attn_in": "use_attn_in",
    "hook_mlp_in": "use_hook_mlp_in",
}
"""Hooks that fire only while a flag is on."""


class HookedTransformer(HookedModel):
    """A transformer of any depth; weights are zero until ``build_model`` draws or a state dict sets them."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__(cfg)
        self.embed = Embed(cfg)
        self.hook_embed = HookPoint()  # [batch, pos, d_model]
        self.pos_embed = PosEmbed(cfg)
        self.hook_pos_embed = HookPoint()  # [batch, pos, d_model]
        self.blocks = nn.ModuleList(TransformerBlock(cfg) for _ in range(cfg.n_layers))
        self.ln_final = LayerNorm(cfg) if cfg.normalization_type == "LN" else nn.Identity()
        self.unembed = Unembed(cfg, cfg.d_model)
        self.finish()

    def forward(
        self,
        input: Int[Tensor, "*batch pos"] | Float[Tensor, "batch pos d_model"] | str | list[str],
        return_type: Literal["logits", "loss", "both"] | None = "logits",
        start_at_layer: int | None = None,
        stop_at_layer: int | None = None,
        tokens: Int[Tensor, "batch pos"] | None = None,
    ) -> Tensor | tuple[Tensor, Tensor] | None:
        """Run the model.

        Args:
            input: tokens (a single row may be [pos]) or text; the residual stream if ``start_at_layer`` is set.
            return_type: logits [batch, pos, d_vocab_out], next-token loss (nats, scalar), both, or nothing.
            start_at_layer: first block to run; the embedding is skipped.
            stop_at_layer: first block not to run; the residual stream before it is returned.
            tokens: targets of the loss, needed if ``input`` is the residual stream.

        Raises:
            ValueError: another return type, rows longer than n_ctx, or a loss that cannot be computed.
        """
        if return_type not in ("logits", "loss", "both", None):
            raise ValueError(f"return_type = {return_type!r}; choose 'logits', 'loss', 'both' or None")
        resid: Any = input
        if start_at_layer is None:
            tokens = self.to_tokens(input) if isinstance(input, str | list) else as_batch(input)
            resid = self.hook_embed(self.embed(tokens)) + self.hook_pos_embed(self.pos_embed(tokens))
        for block in self.blocks[start_at_layer:stop_at_layer]:
            resid = block(resid)
        if stop_at_layer is not None:
            return resid
        resid = self.ln_final(resid)
        if return_type is None:
            return None
        logits = self.unembed(resid)
        if return_type == "logits":
            return logits
        loss = next_token_loss(logits, tokens)
        return loss if return_type == "loss" else (logits, loss)

    # ---- flags -----------------------------------------------------------------------------------

    def set_use_attn_result(self, use_attn_result: bool) -> None:
        """Compute each head's output separately, at attn.hook_result."""
        self.cfg.use_attn_result = use_attn_result

    def set_use_split_qkv_input(self, use_split_qkv_input: bool) -> None:
        """Give queries, keys and values of each head their own copy of the residual stream."""
        self._exclude(use_split_qkv_input and self.cfg.use_attn_in, "use_split_qkv_input", "use_attn_in")
        self.cfg.use_split_qkv_input = use_split_qkv_input

    def set_use_attn_in(self, use_attn_in: bool) -> None:
        """Give each head its own copy of the residual stream."""
        self._exclude(use_attn_in and self.cfg.use_split_qkv_input, "use_attn_in", "use_split_qkv_input")
        self.cfg.use_attn_in = use_attn_in

    def set_use_hook_mlp_in(self, use_hook_mlp_in: bool) -> None:
        """Hook the MLP's input separately from the residual stream.

        Raises:
            ValueError: the model has no MLP.
        """
        if use_hook_mlp_in and self.cfg.attn_only:
            raise ValueError("an attention-only model has no MLP whose input could be hooked")
        self.cfg.use_hook_mlp_in = use_hook_mlp_in

    @staticmethod
    def _exclude(clash: bool, wanted: str, other: str) -> None:
        if clash:
            raise ValueError(f"{wanted} and {other} exclude each other: call set_{other}(False) first")

    def check_hooks_to_add(self, hook_point: HookPoint, hook_point_name: str, *args: Any, **kwargs: Any) -> None:
        """Refuse hooks that would never fire (called by ``add_hook``).

        Raises:
            ValueError: the hook's flag is off, or the hook is an MLP's in an attention-only model.
        """
        if self.cfg.attn_only and hook_point_name.endswith(("hook_mlp_in", "hook_mlp_out")):
            raise ValueError(f"hook {hook_point_name} never fires: an attention-only model has no MLP")
        for ending, flag in FLAGS.items():
            if hook_point_name.endswith(ending) and not getattr(self.cfg, flag):
                raise ValueError(f"hook {hook_point_name} is off: call model.set_{flag}(True) first")

    # ---- weights ---------------------------------------------------------------------------------

    @property
    def W_pos(self) -> Float[Tensor, "n_ctx d_model"]:
        """Position embeddings."""
        return self.pos_embed.W_pos

    @property
    def W_E_pos(self) -> Float[Tensor, "d_vocab_plus_n_ctx d_model"]:
        """Token embeddings, then position embeddings."""
        return torch.cat([self.W_E, self.W_pos])

    @property
    def W_Q(self) -> Float[Tensor, "n_layers n_heads d_model d_head"]:
        """Query matrices."""
        return self._stack("attn.W_Q")

    @property
    def W_K(self) -> Float[Tensor, "n_layers n_heads d_model d_head"]:
        """Key matrices."""
        return self._stack("attn.W_K")

    @property
    def W_V(self) -> Float[Tensor, "n_layers n_heads d_model d_head"]:
        """Value matrices."""
        return self._stack("attn.W_V")

    @property
    def W_O(self) -> Float[Tensor, "n_layers n_heads d_head d_model"]:
        """Output matrices of the heads."""
        return self._stack("attn.W_O")

    @property
    def b_Q(self) -> Float[Tensor, "n_layers n_heads d_head"]:
        """Query biases."""
        return self._stack("attn.b_Q")

    @property
    def b_K(self) -> Float[Tensor, "n_layers n_heads d_head"]:
        """Key biases."""
        return self._stack("attn.b_K")

    @property
    def b_V(self) -> Float[Tensor, "n_layers n_heads d_head"]:
        """Value biases."""
        return self._stack("attn.b_V")

    @property
    def b_O(self) -> Float[Tensor, "n_layers d_model"]:
        """Attention output biases."""
        return self._stack("attn.b_O")

    @property
    def W_in(self) -> Float[Tensor, "n_layers d_model d_mlp"]:
        """Input matrices of the MLPs."""
        return self._stack("mlp.W_in")

    @property
    def b_in(self) -> Float[Tensor, "n_layers d_mlp"]:
        """Input biases of the MLPs."""
        return self._stack("mlp.b_in")

    @property
    def W_out(self) -> Float[Tensor, "n_layers d_mlp d_model"]:
        """Output matrices of the MLPs."""
        return self._stack("mlp.W_out")

    @property
    def b_out(self) -> Float[Tensor, "n_layers d_model"]:
        """Output biases of the MLPs."""
        return self._stack("mlp.b_out")

    @property
    def QK(self) -> FactoredMatrix:
        """W_Q W_K^T of every head."""
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-2, -1))

    @property
    def OV(self) -> FactoredMatrix:
        """W_V W_O of every head."""
        return FactoredMatrix(self.W_V, self.W_O)

    def _stack(self, name: str) -> Tensor:
        return torch.stack([block.get_parameter(name) for block in self.blocks])

    # ---- interface of TransformerLens's tools ----------------------------------------------------

    def blocks_with(self, submodule: str) -> list[tuple[int, nn.Module]]:
        """Blocks that have a submodule of this name, such as "attn", with their layer numbers."""
        return [(i, block) for i, block in enumerate(self.blocks) if submodule in block._modules]

    def all_head_labels(self) -> list[str]:
        """Names of all heads: L0H0, L0H1, ..."""
        return [f"L{layer}H{head}" for layer in range(self.cfg.n_layers) for head in range(self.cfg.n_heads)]

    def accumulated_bias(
        self, layer: int, mlp_input: bool = False, include_mlp_biases: bool = True
    ) -> Float[Tensor, " d_model"]:
        """Sum of output biases up to the input of ``layer`` (of its MLP, if ``mlp_input``)."""
        total = self.b_O[: layer + 1 if mlp_input else layer].sum(dim=0)
        has_more = include_mlp_biases and not self.cfg.attn_only
        return total + self.b_out[:layer].sum(dim=0) if has_more else total

    def all_composition_scores(self, mode: str) -> Float[Tensor, "n_layers n_heads n_layers n_heads"]:
        """Composition score of each head (first two axes) with each later head's Q, K or V (Elhage et al. 2021).

        Raises:
            ValueError: ``mode`` is not "Q", "K" or "V".
        """
        readers = {"Q": lambda: self.QK, "K": lambda: self.QK.T, "V": lambda: self.OV}
        if mode not in readers:
            raise ValueError(f"mode = {mode!r} is not allowed; choose 'Q', 'K' or 'V'")
        scores = composition_scores(self.OV, readers[mode](), broadcast_dims=True)
        later = torch.ones(self.cfg.n_layers, self.cfg.n_layers, device=scores.device).triu(1)
        return scores * later[:, None, :, None]


def next_token_loss(
    logits: Float[Tensor, "batch pos d_vocab_out"], tokens: Int[Tensor, "batch pos"] | None
) -> Float[Tensor, ""]:
    """Mean next-token cross-entropy in nats, the loss of a language model (a task's loss counts answers only).

    Raises:
        ValueError: no tokens, or logits that do not cover them.
    """
    if tokens is None:
        raise ValueError("the loss needs tokens: give tokens=, as the input is a residual stream")
    if int(tokens[:, 1:].max()) >= logits.shape[-1]:
        raise ValueError(
            f"next-token loss needs a logit for token {int(tokens[:, 1:].max())}; the model has "
            f"{logits.shape[-1]} (answers only): take the answers' loss from the logits instead"
        )
    logp = logits[:, :-1].log_softmax(dim=-1)
    return -logp.gather(-1, tokens[:, 1:, None].long()).mean()
