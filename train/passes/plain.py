"""The plain pass: the hooked model itself under autograd, correct for every model, on any device."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import ANY, Knows
from train.model import HookedMLP, HookedTransformer
from train.model.precision import gradients, products

from .dropout import masks
from .loss import training_loss
from .protocol import AfterGradients, Ensemble, Reader
from .scope import OF_A_PASS
from .threads import Map

PIECE = 4096
"""Rows per gradient computation, which bounds the memory of a pass."""


class PlainPass:
    """A ``protocol.Pass`` by autograd. Pieces of a batch run sequentially, because modules may keep state."""

    NAME: ClassVar[str] = "plain"
    KNOWS: ClassVar[Knows] = {name: ANY for names in OF_A_PASS.values() for name in names}

    def __init__(self, models: Ensemble) -> None:
        self.weights, self.threads, self.configs = models.weights, models.threads, models.configs
        self.cfg, self.loss = models.model.cfg, training_loss(models.configs[0].optim)
        self.device = models.weights.values.device
        self.tokens, self.labels = models.tokens.to(self.device), models.labels()
        self.positions = list(models.answer_positions)
        self.models = [_sharing(models.model, own) for own in models.weights.own]

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """True: the plain pass runs on every device."""
        return True

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> Int[Tensor, " chosen"]:
        """The row numbers themselves, on the device."""
        return rows.to(self.device)

    def backward(self, batches: Sequence[Tensor], steps: Sequence[int], then: AfterGradients) -> Float[Tensor, " K"]:
        """Losses and gradients; the pieces' gradients are summed in order."""

        def one(k: int, each: Map) -> Tensor:
            leaves = [p for p in self.models[k].parameters() if p.requires_grad]
            drop_masks = self._masks(k, steps[k], len(batches[k]))
            losses = []
            self.weights.grads[k].zero_()
            for first in range(0, len(batches[k]), PIECE):
                some = slice(first, first + PIECE)
                rows = batches[k][some]
                piece_masks = {name: mask[some] for name, mask in drop_masks.items()}
                with products(self.configs[k].optim.precision, self.device), self._dropping(k, piece_masks):
                    loss = self.loss(self._logits(k, rows), self.labels[k][rows]).sum() / len(batches[k])
                piece_grads = gradients(loss, leaves, self.configs[k].optim.precision, self.device)
                self.weights.grads[k] += torch.cat([gradient.flatten() for gradient in piece_grads])
                losses.append(loss.detach())
            then(range(k, k + 1), each, [])
            return torch.stack(losses).sum()

        return torch.stack(self.threads.over(one, len(batches)))

    def _logits(self, k: int, rows: Tensor) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        return self.models[k](self.tokens[rows])[:, self.positions]

    def _masks(self, k: int, step: int, n_rows: int) -> Mapping[str, Tensor]:
        """This update's dropout masks by hook name; empty without dropout."""
        config = self.configs[k]
        if config.optim.dropout == 0:
            return {}
        return masks(config.seed, step, config.optim.dropout, n_rows, self.cfg, len(self.positions), self.device)

    def _dropping(self, k: int, kept: Mapping[str, Tensor]) -> AbstractContextManager[Any]:
        """A context of hooks that multiply sublayer outputs by their masks; in the last layer at the answers only."""

        def hook(mask: Tensor) -> Callable[..., Tensor]:
            def drop(output: Tensor, hook: Any) -> Tensor:
                if mask.shape[1] == output.shape[1]:
                    return output * mask.to(output.dtype)
                output = output.clone()
                output[:, self.positions] = output[:, self.positions] * mask.to(output.dtype)
                return output

            return drop

        if not kept:
            return nullcontext()
        return self.models[k].hooks(fwd_hooks=[(name, hook(mask)) for name, mask in kept.items()])

    def reader(self, k: int, each: Map) -> Reader:
        """A reader that uses the training forward, in float32."""
        return lambda rows: self._logits(k, rows.to(self.device))


def _sharing(model: HookedTransformer | HookedMLP, own: Mapping[str, Tensor]) -> HookedTransformer | HookedMLP:
    """A copy of the model whose parameters are views of a stack's weights."""
    clone = copy.deepcopy(model)
    for name, parameter in clone.named_parameters():
        parameter.data = own[name].detach()
    return clone


@torch.no_grad()
def plain_forward(
    model: HookedTransformer | HookedMLP,
    weights: Mapping[str, Tensor],
    tokens: Int[Tensor, "rows n_ctx"],
    positions: Sequence[int],
    hook: str | None,
) -> tuple[Float[Tensor, "rows n_answers d_vocab_out"], Tensor | None]:
    """Logits of the hooked model at the answers, with other weights, and one hook's activations [rows, pos, ...].

    Args:
        model: the model, which is not changed; its active hooks apply.
        weights: the weights by parameter name.
        tokens: rows of tokens.
        positions: answer positions.
        hook: name of the hook whose activations are returned, or None.
    """
    logits: list[Tensor] = []
    parts: list[Tensor] = []

    def keep(activation: Tensor, hook: Any) -> None:
        parts.append(activation)

    with model.hooks(fwd_hooks=[] if hook is None else [(hook, keep)]):
        for some in tokens.split(PIECE):
            logits.append(torch.func.functional_call(model, dict(weights), (some,))[:, list(positions)])
    return torch.cat(logits), torch.cat(parts) if parts else None
