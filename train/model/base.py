"""What the hooked models have in common."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedRootModule

from ..errors import UsageError
from ..operations import nearest
from .components import Embed, Unembed
from .config import HookedTransformerConfig
from .tokens import NamedTokens


class HookedModel(NamedTokens, HookedRootModule):
    """A HookedRootModule with a configuration, named tokens, and caches that know their model."""

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
        """Output, and an ActivationCache (a plain dictionary if not ``return_cache_object``)."""
        out, cache = super().run_with_cache(*model_args, remove_batch_dim=remove_batch_dim, **kwargs)
        if return_cache_object:
            cache = ActivationCache(cache, self, has_batch_dim=not remove_batch_dim)  # type: ignore[arg-type]
        return out, cache

    def hooks(
        self,
        fwd_hooks: Any = (),
        bwd_hooks: Any = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ) -> AbstractContextManager[Any]:
        """TransformerLens's context of temporary hooks.

        Raises:
            UsageError: a hook that this model does not have, before any is set.
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
        """Columns of W_U: the directions that the logits of these tokens read. One token gives one vector."""
        if isinstance(tokens, str):
            tokens = self.to_single_token(tokens)
        if isinstance(tokens, int) or tokens.numel() == 1:
            return self.W_U[:, int(tokens)]
        return self.W_U.T[tokens]
