"""What the hooked models have in common."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedRootModule

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
