"""TransformerLens 3.9's weight processing: weights simplified for interpretation, with unchanged probabilities.

Steps that do not apply are skipped, as in TransformerLens; steps that would change probabilities are refused.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from train.errors import UsageError


@torch.no_grad()
def process_weights(
    model: Any,
    *,
    fold_ln: bool,
    center_writing_weights: bool,
    center_unembed: bool,
    fold_value_biases: bool,
    refactor_factored_attn_matrices: bool,
) -> None:
    """Process a HookedModel in place, in TransformerLens's order; see its ``process_weights_``."""
    _check(model, fold_ln or center_writing_weights, fold_value_biases or refactor_factored_attn_matrices)
    has_norm = model.cfg.normalization_type == "LN"
    blocks = model.blocks if model.cfg.n_heads > 0 else []
    if fold_ln and has_norm:
        for block in blocks:
            _fold_into(block.ln1, [(getattr(block.attn, f"W_{x}"), getattr(block.attn, f"b_{x}")) for x in "QKV"])
            if "mlp" in block._modules:
                _fold_into(block.ln2, [(block.mlp.W_in, block.mlp.b_in)])
        _fold_into(model.ln_final, [(model.unembed.W_U, model.unembed.b_U)])
    if center_writing_weights and has_norm:
        for tensor in _writing(model):
            tensor -= tensor.mean(dim=-1, keepdim=True)
    if center_unembed:
        for tensor in (model.unembed.W_U, model.unembed.b_U):
            tensor -= tensor.mean(dim=-1, keepdim=True)
    for block in blocks:
        if fold_value_biases or refactor_factored_attn_matrices:
            _fold_value_bias(block.attn)
        if refactor_factored_attn_matrices:
            _refactor(block.attn)


def _check(model: Any, touches_norms: bool, moves_value_biases: bool) -> None:
    """Refuse steps that would change the model's probabilities.

    Raises:
        UsageError: a step would; the message names the arguments to set to False.
    """
    cfg = model.cfg
    if cfg.normalization_type == "LNPost" and touches_norms:
        raise UsageError(
            "this model's layer norms act on residual sums, so that nothing after them can take in their weights or "
            "undo what they centre: give fold_ln=False, center_writing_weights=False"
        )
    has_biases = cfg.n_heads > 0 and any(bool(block.attn.b_V.any()) for block in model.blocks)
    if moves_value_biases and cfg.attn_rate != 1 and has_biases:
        raise UsageError(
            f"with attn_rate = {cfg.attn_rate:g} attention does not add up to 1, so that value biases are no constant: "
            "give fold_value_biases=False, refactor_factored_attn_matrices=False"
        )


def _fold_into(norm: Any, readers: list[tuple[Tensor, Tensor]]) -> None:
    """Fold a norm's shift and scale into the layers after it: matrices [..., d_model, d_out], biases [..., d_out].

    Columns of the matrices are centred, which leaves products with centred vectors unchanged.
    """
    for W, b in readers:
        b += (norm.b[:, None] * W).sum(dim=-2)
        W *= norm.w[:, None]
        W -= W.mean(dim=-2, keepdim=True)
    norm.w.fill_(1)
    norm.b.zero_()


def _writing(model: Any) -> list[Tensor]:
    """Tensors that write to the residual stream along their last axis."""
    tensors = [model.embed.W_E, model.pos_embed.W_pos]
    for block in model.blocks:
        tensors += [block.attn.W_O, block.attn.b_O]
        tensors += [block.mlp.W_out, block.mlp.b_out] if "mlp" in block._modules else []
    return tensors


def _fold_value_bias(attn: Any) -> None:
    attn.b_O += torch.einsum("hd,hdm->m", attn.b_V, attn.W_O)
    attn.b_V.zero_()


def _refactor(attn: Any) -> None:
    """W_V = U S, W_O = V^T of each head's W_V W_O; W_Q and W_K, their biases as a last row, share S of W_Q W_K^T."""
    U, S, V = _svd(attn.W_V, attn.W_O)
    attn.W_V.copy_(U * S[:, None, :])
    attn.W_O.copy_(V.mT)
    queries, keys = (torch.cat([W, b[:, None, :]], dim=1) for W, b in ((attn.W_Q, attn.b_Q), (attn.W_K, attn.b_K)))
    U, S, V = _svd(queries, keys.mT)
    for x, side in (("Q", U), ("K", V)):
        even = side * S.sqrt()[:, None, :]
        getattr(attn, f"W_{x}").copy_(even[:, :-1])
        getattr(attn, f"b_{x}").copy_(even[:, -1])


def _svd(
    A: Float[Tensor, "n_heads m rank"], B: Float[Tensor, "n_heads rank n"]
) -> tuple[Float[Tensor, "n_heads m rank"], Float[Tensor, "n_heads rank"], Float[Tensor, "n_heads n rank"]]:
    """U, S, V of the products A B, truncated to as many singular values as A has columns."""
    U, S, Vh = torch.linalg.svd(A.double() @ B.double(), full_matrices=False)
    rank = A.shape[-1]
    return U[..., :rank].to(A.dtype), S[..., :rank].to(A.dtype), Vh.mT[..., :rank].to(A.dtype)
