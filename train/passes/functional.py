"""The functional pass: the frugal forward under autograd, one piece of a batch at a time, on a CPU."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import ANY, Knows
from train.model import HookedMLP
from train.model.precision import gradients, products

from . import frugal
from .dropout import Drop, dropping, keep_all, masks
from .entries import make_plan
from .frugal import answer_logits, mlp_logits
from .loss import training_loss
from .protocol import PIECE, AfterGradients, Ensemble, Reader, check_knows
from .threads import Map

LOSSES: Knows = {
    "optim.loss": {"softmax", "stablemax"},
    "optim.loss_precision": {"float64", "float32", "float16"},
    "optim.dropout": ANY,
    "optim.precision": {"float32", "tf32", "bfloat16"},
}
"""Settings of the loss and its precision that autograd handles for every model."""


class FunctionalPass:
    """A ``protocol.Pass`` by autograd over ``frugal``."""

    NAME: ClassVar[str] = "functional"
    KNOWS: ClassVar[Knows] = {**frugal.KNOWS, **LOSSES}

    def __init__(self, models: Ensemble) -> None:
        check_knows(self.NAME, self.KNOWS, models.configs)
        self.weights, self.threads, self.configs = models.weights, models.threads, models.configs
        self.cfg, self.is_mlp = models.model.cfg, isinstance(models.model, HookedMLP)
        self.loss = training_loss(models.configs[0].optim)
        device = models.weights.values.device
        self.tokens, self.labels = models.tokens.to(device), models.labels()
        self.positions = models.answer_positions
        self.plan = make_plan(self.tokens, self.positions, self.cfg.n_layers)
        self.piece = PIECE if device.type == "cpu" else len(self.tokens)

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the device is a CPU."""
        return device.type == "cpu"

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Any]:
        """The model's inputs and the labels, in pieces."""
        pieces = rows.to(self.tokens.device).split(self.piece)
        return [(self.tokens[r] if self.is_mlp else self.plan.select(r), self.labels[k][r]) for r in pieces]

    def logits(self, k: int, inputs: Any, drop: Drop = keep_all) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        """Logits of model ``k`` at the answers."""
        own = self.weights.own[k]
        if self.is_mlp:
            return mlp_logits(own, self.cfg, inputs)[:, None].expand(-1, len(self.positions), -1)
        return answer_logits(own, self.cfg, inputs, drop=drop)

    def backward(self, batches: Sequence[list[Any]], steps: Sequence[int], then: AfterGradients) -> Float[Tensor, " K"]:
        """Losses and gradients; the pieces' gradients are summed in order."""

        def one(k: int, each: Map) -> Tensor:
            leaves = [self.weights.own[k][name] for name in self.weights.trained]
            sizes = [len(labels) for _, labels in batches[k]]
            drops = self._drops(k, steps[k], sizes)

            def piece(i: int) -> tuple[Tensor, Tensor]:
                inputs, labels = batches[k][i]
                with products(self.configs[0].optim.precision, labels.device):
                    loss = self.loss(self.logits(k, inputs, drops[i]), labels).sum() / sum(sizes)
                piece_grads = gradients(loss, leaves, self.configs[0].optim.precision, labels.device)
                return loss.detach(), torch.cat([gradient.flatten() for gradient in piece_grads])

            losses, rows = zip(*each(piece, range(len(sizes))), strict=True)
            self.weights.grads[k] = rows[0]
            for more in rows[1:]:
                self.weights.grads[k] += more
            then(range(k, k + 1), each, [])
            return torch.stack(losses).sum()

        return torch.stack(self.threads.over(one, len(batches)))

    def _drops(self, k: int, step: int, sizes: Sequence[int]) -> list[Drop]:
        """Dropout of each piece, from masks drawn for the whole batch."""
        rate = self.configs[k].optim.dropout
        if rate == 0:
            return [keep_all] * len(sizes)
        shape = (sum(sizes), self.cfg, len(self.positions), self.tokens.device)
        cut = {name: mask.split(list(sizes)) for name, mask in masks(self.configs[k].seed, step, rate, *shape).items()}
        return [dropping({name: pieces[i] for name, pieces in cut.items()}) for i in range(len(sizes))]

    def reader(self, k: int, each: Map) -> Reader:
        """A reader that uses the training forward, in float32 and in pieces."""
        return lambda rows: torch.cat([self.logits(k, inputs) for inputs, _ in self.prepare(k, rows)])
