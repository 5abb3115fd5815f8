"""Parts of a hooked transformer, with TransformerLens's parameter names, shapes and hook names.

Every bias exists; ``HookedModel.finish`` freezes untrained ones at zero. Weights are zero until initialised.
"""

from functools import partial

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens import FactoredMatrix
from transformer_lens.hook_points import HookPoint

from .config import HookedTransformerConfig
from .precision import unrounded

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "square": torch.square,
}
"""Activation functions by name; square: Gromov 2023 (2301.02679); gelu_new: GELU's tanh approximation."""


def zeros(cfg: HookedTransformerConfig, *shape: int) -> nn.Parameter:
    """A parameter of zeros."""
    return nn.Parameter(torch.zeros(*shape, dtype=cfg.dtype))


def sinusoids(n_ctx: int, d_model: int) -> Float[Tensor, "n_ctx d_model"]:
    """Fixed position embeddings, even columns sin, odd ones cos (Vaswani et al. 2017, 1706.03762, 3.5)."""
    positions = torch.arange(n_ctx, dtype=torch.float64)[:, None]
    columns = torch.arange(d_model)
    angles = positions * 10_000.0 ** (-(columns - columns % 2) / d_model)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float()


def attention_pattern(
    scores: Float[Tensor, "*batch query key"], allowed: Bool[Tensor, "query key"], attn_rate: float
) -> Float[Tensor, "*batch query key"]:
    """attn_rate * softmax + (1 - attn_rate) * ones, 0 where not allowed (Zhong et al. 2023, 2306.17844)."""
    pattern = scores.softmax(dim=-1)
    return pattern if attn_rate == 1 else attn_rate * pattern + (1 - attn_rate) * allowed.to(pattern)


class Embed(nn.Module):
    """Token embeddings."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.W_E = zeros(cfg, cfg.d_vocab, cfg.d_model)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """Rows of W_E."""
        return F.embedding(tokens, self.W_E)


class PosEmbed(nn.Module):
    """Position embeddings, learned or fixed."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.W_pos = zeros(cfg, cfg.n_ctx, cfg.d_model)
        if cfg.positional_embedding_type == "sinusoidal":
            self.W_pos = nn.Parameter(sinusoids(cfg.n_ctx, cfg.d_model).to(cfg.dtype), requires_grad=False)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The first rows of W_pos, for every row of tokens.

        Raises:
            ValueError: more positions than W_pos has.
        """
        batch, pos = tokens.shape
        if pos > len(self.W_pos):
            raise ValueError(f"rows of {pos} tokens; the model reads at most {len(self.W_pos)}")
        return repeat(self.W_pos[:pos], "pos d_model -> batch pos d_model", batch=batch)


class LayerNorm(nn.Module):
    """Layer norm with trained scale and shift, hooked between its steps."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.eps = cfg.eps
        self.w = nn.Parameter(torch.ones(cfg.d_model, dtype=cfg.dtype))
        self.b = zeros(cfg, cfg.d_model)
        self.hook_scale = HookPoint()  # [batch, pos, 1]
        self.hook_normalized = HookPoint()  # [batch, pos, d_model]

    def forward(self, x: Float[Tensor, "batch *pos d_model"]) -> Float[Tensor, "batch *pos d_model"]:
        """Centre, divide by the scale, then scale and shift."""
        x = x - x.mean(dim=-1, keepdim=True)
        scale = self.hook_scale((x.square().mean(dim=-1, keepdim=True) + self.eps).sqrt())
        return self.hook_normalized(x / scale) * self.w + self.b


class Attention(nn.Module):
    """Multi-head attention."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.cfg = cfg
        n_heads, d_model, d_head = cfg.n_heads, cfg.d_model, cfg.d_head
        # Declared in TransformerLens's order, which its seeded initialisation follows.
        self.W_Q = zeros(cfg, n_heads, d_model, d_head)
        self.W_O = zeros(cfg, n_heads, d_head, d_model)
        self.b_Q = zeros(cfg, n_heads, d_head)
        self.b_O = zeros(cfg, d_model)
        self.W_K = zeros(cfg, n_heads, d_model, d_head)
        self.W_V = zeros(cfg, n_heads, d_model, d_head)
        self.b_K = zeros(cfg, n_heads, d_head)
        self.b_V = zeros(cfg, n_heads, d_head)
        self.hook_k = HookPoint()  # [batch, pos, head, d_head]
        self.hook_q = HookPoint()
        self.hook_v = HookPoint()
        self.hook_z = HookPoint()
        self.hook_attn_scores = HookPoint()  # [batch, head, query, key]
        self.hook_pattern = HookPoint()  # [batch, head, query, key]
        self.hook_result = HookPoint()  # [batch, pos, head, d_model]
        # TransformerLens 4's place for the split inputs; the block calls them beside its own (3.9's place).
        self.hook_q_input = HookPoint()  # [batch, pos, head, d_model]
        self.hook_k_input = HookPoint()
        self.hook_v_input = HookPoint()

    @property
    def QK(self) -> FactoredMatrix:
        """W_Q W_K^T of each head."""
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-2, -1))

    @property
    def OV(self) -> FactoredMatrix:
        """W_V W_O of each head."""
        return FactoredMatrix(self.W_V, self.W_O)

    def forward(
        self,
        query_input: Float[Tensor, "batch pos *head d_model"],
        key_input: Float[Tensor, "batch pos *head d_model"],
        value_input: Float[Tensor, "batch pos *head d_model"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """Output of attention; each head reads its own input if the inputs have a head dimension."""
        q = self.hook_q(_per_head(query_input, self.W_Q) + self.b_Q)
        k = self.hook_k(_per_head(key_input, self.W_K) + self.b_K)
        v = self.hook_v(_per_head(value_input, self.W_V) + self.b_V)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / self.cfg.attn_scale
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        if self.cfg.attention_dir == "causal":
            allowed = allowed.tril()
            scores = scores.masked_fill(~allowed, -torch.inf)
        scores = self.hook_attn_scores(scores)
        pattern = self.hook_pattern(attention_pattern(scores, allowed, self.cfg.attn_rate))
        z = self.hook_z(torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        if self.cfg.use_attn_result:
            result = self.hook_result(torch.einsum("bqhd,hdm->bqhm", z, self.W_O))
            return result.sum(dim=2) + self.b_O
        return torch.einsum("bqhd,hdm->bqm", z, self.W_O) + self.b_O


def _per_head(
    x: Float[Tensor, "batch pos *head d_model"], W: Float[Tensor, "n_heads d_model d_head"]
) -> Float[Tensor, "batch pos n_heads d_head"]:
    """Multiply every head's input, or the one input of all heads, by the head's matrix."""
    return torch.einsum("bpm,hmd->bphd" if x.ndim == 3 else "bphm,hmd->bphd", x, W)


class MLP(nn.Module):
    """The MLP of a transformer block, with one hidden layer."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.activation = ACTIVATIONS[cfg.act_fn]
        self.W_in = zeros(cfg, cfg.d_model, cfg.d_mlp)
        self.b_in = zeros(cfg, cfg.d_mlp)
        self.W_out = zeros(cfg, cfg.d_mlp, cfg.d_model)
        self.b_out = zeros(cfg, cfg.d_model)
        self.hook_pre = HookPoint()  # [batch, pos, d_mlp]
        self.hook_post = HookPoint()  # [batch, pos, d_mlp]

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """The output of the hidden layer, before it is added to the residual stream."""
        pre = self.hook_pre(x @ self.W_in + self.b_in)
        return self.hook_post(self.activation(pre)) @ self.W_out + self.b_out


class TransformerBlock(nn.Module):
    """Attention, then MLP, each added to the residual stream; attention only if ``cfg.attn_only``.

    An attention-only block has no ln2, mlp or hook_resid_mid, as in TransformerLens 3.9; its hook_mlp_in and
    hook_mlp_out exist but never fire.

    With norm "LNPost" (Power et al. 2022's openai/grok) the norms act on the sums, and ``hook_resid_mid`` and
    ``hook_resid_post`` hold the normed sums, which are the inputs of the next sublayer.
    """

    hook_out_is_single_residual_stream = True
    """A flag that TransformerLens 4's logit lens reads."""

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.cfg = cfg
        self.ln1 = LayerNorm(cfg) if cfg.normalization_type is not None else nn.Identity()
        if not cfg.attn_only:
            self.ln2 = LayerNorm(cfg) if cfg.normalization_type is not None else nn.Identity()
        self.attn = Attention(cfg)
        if not cfg.attn_only:
            self.mlp = MLP(cfg)
        self.hook_attn_in = HookPoint()  # [batch, pos, head, d_model]
        self.hook_q_input = HookPoint()  # [batch, pos, head, d_model]
        self.hook_k_input = HookPoint()
        self.hook_v_input = HookPoint()
        self.hook_mlp_in = HookPoint()  # [batch, pos, d_model]
        self.hook_attn_out = HookPoint()
        self.hook_mlp_out = HookPoint()
        self.hook_resid_pre = HookPoint()
        if not cfg.attn_only:
            self.hook_resid_mid = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(self, resid: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after this block."""
        resid_pre = self.hook_resid_pre(resid)
        q, k, v = (self._before(self.ln1, x) for x in self._attention_inputs(resid_pre))
        attn_out = self.hook_attn_out(self.attn(q, k, v))
        resid = self._after(self.ln1, resid_pre + attn_out)
        if self.cfg.attn_only:
            return self.hook_resid_post(resid)
        resid_mid = self.hook_resid_mid(resid)
        mlp_in = self.hook_mlp_in(resid_mid) if self.cfg.use_hook_mlp_in else resid_mid
        mlp_out = self.hook_mlp_out(self.mlp(self._before(self.ln2, mlp_in)))
        return self.hook_resid_post(self._after(self.ln2, resid_mid + mlp_out))

    def _before(self, norm: nn.Module, x: Tensor) -> Tensor:
        """The input of a sublayer: normed, except in a post-norm model."""
        return x if self.cfg.normalization_type == "LNPost" else norm(x)

    def _after(self, norm: nn.Module, x: Tensor) -> Tensor:
        """A residual sum: normed in a post-norm model."""
        return norm(x) if self.cfg.normalization_type == "LNPost" else x

    def _attention_inputs(self, resid_pre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of queries, keys and values: the residual stream, or a copy of it per head under a flag."""
        if not (self.cfg.use_split_qkv_input or self.cfg.use_attn_in):
            return resid_pre, resid_pre, resid_pre
        x = repeat(resid_pre, "batch pos d_model -> batch pos head d_model", head=self.cfg.n_heads)
        if self.cfg.use_attn_in:
            x = self.hook_attn_in(x)
            return x, x, x
        attn = self.attn
        return (
            attn.hook_q_input(self.hook_q_input(x)),
            attn.hook_k_input(self.hook_k_input(x)),
            attn.hook_v_input(self.hook_v_input(x)),
        )


class Unembed(nn.Module):
    """The unembedding: logits from the residual stream, times ``output_scale``."""

    def __init__(self, cfg: HookedTransformerConfig, d_in: int):
        super().__init__()
        self.scale = cfg.output_scale
        self.W_U = zeros(cfg, d_in, cfg.d_vocab_out)
        self.b_U = zeros(cfg, cfg.d_vocab_out)
        self.hook_in = HookPoint()  # [batch, pos, d_in]
        self.hook_out = HookPoint()  # [batch, pos, d_vocab_out]

    def forward(self, x: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_vocab_out"]:
        """Logits, in the weights' precision even under autocast: the loss depends on small differences of logits."""
        x = self.hook_in(x)
        with unrounded(x.device):
            return self.hook_out(self.scale * (x.to(self.W_U.dtype) @ self.W_U + self.b_U))
