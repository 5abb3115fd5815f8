"""The base class of the hooked models, and their activation cache."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedRootModule

from train.errors import UsageError
from train.hints import nearest

from .components import Embed, Unembed
from .config import HookedTransformerConfig
from .processing import process_weights
from .tokens import NamedTokens


class HookedModel(NamedTokens, HookedRootModule):
    """A HookedRootModule with a configuration, named tokens and TransformerLens's activation cache."""

    embed: Embed
    unembed: Unembed
    blocks: nn.ModuleList

    def __init__(self, cfg: HookedTransformerConfig):
        super().__init__()
        self.cfg = cfg

    def finish(self) -> None:
        """Name the hooks and freeze the biases that are not trained; the last step of a constructor."""
        trained = {"none": (), "mlp": ("b_in", "b_out"), "all": None}[self.cfg.biases]
        for name, parameter in self.named_parameters():
            last = name.rpartition(".")[2]
            if trained is not None and last.startswith("b_") and last not in trained:
                parameter.requires_grad_(False)
        self.setup()

    def run_with_cache(
        self,
        *model_args: Any,
        return_cache_object: bool = True,
        remove_batch_dim: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """The model's output, and an ActivationCache (a plain dictionary if not ``return_cache_object``)."""
        out, cache = super().run_with_cache(*model_args, remove_batch_dim=remove_batch_dim, **kwargs)
        if return_cache_object:
            cache = Cache(cache, self, has_batch_dim=not remove_batch_dim)  # type: ignore[arg-type]
        return out, cache

    def hooks(
        self,
        fwd_hooks: Any = (),
        bwd_hooks: Any = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ) -> AbstractContextManager[Any]:
        """TransformerLens's context manager for temporary hooks.

        Raises:
            UsageError: the model lacks one of the hooks; no hook is added.
        """
        self.check_hook_names(name for name, _ in (*fwd_hooks, *bwd_hooks) if isinstance(name, str))
        return super().hooks(fwd_hooks, bwd_hooks, reset_hooks_end, clear_contexts)

    def check_hook_names(self, names: Iterable[str]) -> None:
        """Refuse hooks that this model does not have.

        Raises:
            UsageError: one of the names is not in ``hook_dict``.
        """
        for name in names:
            if name not in self.hook_dict:
                kind = f"{type(self).__name__} with n_layers {self.cfg.n_layers}, n_heads {self.cfg.n_heads}"
                near = nearest(name, self.hook_dict)
                raise UsageError(f"no hook {name!r} in this {kind}{near}; model.hook_dict holds all")

    def _apply(self, fn: Any, recurse: bool = True) -> "HookedModel":
        """Move or convert (``to``, ``cuda``, ``double``, ...), keeping the configuration up to date."""
        super()._apply(fn, recurse)
        self.cfg.device, self.cfg.dtype = str(self.W_E.device), self.W_E.dtype
        return self

    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        """Token embeddings."""
        return self.embed.W_E

    @property
    def W_U(self) -> Float[Tensor, "d_in d_vocab_out"]:
        """Unembedding."""
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, " d_vocab_out"]:
        """Unembedding bias."""
        return self.unembed.b_U

    def tokens_to_residual_directions(self, tokens: str | int | Int[Tensor, "*shape"]) -> Float[Tensor, "... d_in"]:
        """Columns of W_U, the residual-stream directions of the tokens' logits; one token gives one vector.

        Raises:
            UsageError: a token has no logit, such as the -1 of a row without an answer.
        """
        if isinstance(tokens, str):
            tokens = self.to_single_token(tokens)
        index = torch.as_tensor(tokens, device=self.W_U.device)
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < self.W_U.shape[1]:
            raise UsageError(
                f"tokens from {int(index.min())} to {int(index.max())}: the model's logits are of 0 to "
                f"{self.W_U.shape[1] - 1}; rows without an answer have -1, and task.rows('all') leaves them out"
            )
        return self.W_U[:, int(index)] if index.numel() == 1 else self.W_U.T[index]

    @property
    def W_gate(self) -> None:
        """None, as in TransformerLens for MLPs that are not gated."""
        return

    def process_weights_(
        self,
        fold_ln: bool = True,
        center_writing_weights: bool = True,
        center_unembed: bool = True,
        fold_value_biases: bool = True,
        refactor_factored_attn_matrices: bool = False,
    ) -> None:
        """Simplify the weights in place for interpretation, as TransformerLens 3.9 does; probabilities are unchanged.

        Args:
            fold_ln: fold scale and shift of each layer norm into the weights after it, and centre those weights; the
                norms stay, with scale 1 and shift 0 (TransformerLens replaces them).
            center_writing_weights: centre the weights that write to the residual stream, if the model has layer norms.
            center_unembed: centre the logits, which changes each row by a constant.
            fold_value_biases: move the value biases into b_O.
            refactor_factored_attn_matrices: balance each head's pairs of matrices by singular value decomposition.

        Raises:
            UsageError: probabilities would change: the model is post-norm, or combines an attention rate with value
                biases.
        """
        process_weights(
            self,
            fold_ln=fold_ln,
            center_writing_weights=center_writing_weights,
            center_unembed=center_unembed,
            fold_value_biases=fold_value_biases,
            refactor_factored_attn_matrices=refactor_factored_attn_matrices,
        )


class Cache(ActivationCache):
    """TransformerLens's cache, whose ``logit_attrs`` also accepts a task's labels [rows, n_answers] as tokens."""

    def logit_attrs(self, residual_stack: Tensor, tokens: Any, incorrect_tokens: Any = None, **kwargs: Any) -> Tensor:
        """TransformerLens's ``logit_attrs``; an answer axis of size 1 is dropped if the stack has no position axis."""
        has_positions = residual_stack.ndim == 4

        def per_row(t: Any) -> Any:
            return t[:, 0] if isinstance(t, Tensor) and t.shape[1:] == (1,) and not has_positions else t

        return super().logit_attrs(residual_stack, per_row(tokens), per_row(incorrect_tokens), **kwargs)


def as_batch(tokens: Int[Tensor, "*batch pos"]) -> Int[Tensor, "batch pos"]:
    """Tokens with a batch axis, which is added to a single row [pos], as in TransformerLens.

    Raises:
        UsageError: ``tokens`` has another number of axes.
    """
    if tokens.ndim not in (1, 2):
        raise UsageError(f"tokens of shape {tuple(tokens.shape)}: give rows [batch, pos], or one row [pos]")
    return torch.atleast_2d(tokens)
