"""A run's weights at one step, as a model with hooks."""

import functools
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from train.model import HookedMLP, HookedTransformer, build_model
from train.model.sizes import check_sizes
from train.passes.loss import cross_entropy
from train.tasks.task import Task

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

    from .run import Run


CHUNK_ROWS = 16_384
"""Rows that a model without hooks is given at a time."""


def row_scores(
    task: Task, logits: Float[Tensor, "rows n_answers d_vocab_out"]
) -> tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Loss of every row in nats (NaN where its answer is undefined), and whether it is answered right."""
    loss = torch.full((len(task.labels),), torch.nan, dtype=torch.float64)
    loss[task.is_defined] = cross_entropy(logits[task.is_defined], task.labels[task.is_defined])
    return loss, (logits.argmax(dim=-1) == task.labels).all(dim=1)


class Snapshot:
    """A run's weights at one step.

    ``model`` is one object for the snapshot's life, so hooks put on it act in ``loss`` and ``run_with_cache``.
    """

    def __init__(self, run: "Run", step: int) -> None:
        self.run = run
        self.step = step
        self.kept: dict[tuple[Any, ...], Any] = {}
        """What measures share: see ``interp.parts.parts``."""

    def __repr__(self) -> str:
        return f"<Snapshot {self.run.name} step {self.step:,}>"

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.run.task

    def forget(self) -> None:
        """Let go of what measures have kept."""
        self.kept.clear()

    @functools.cached_property
    def model(self) -> HookedTransformer | HookedMLP:
        """The model in eval mode, on the CPU."""
        weights = self.run.weights(self.step)
        config = self.run.store.config  # how weights were drawn may be unknown, and does not matter here
        check_sizes(config, weights, f"step {self.step} of {self.run.path}")
        model = build_model(config)
        model.load_state_dict(weights)
        return model.eval()

    @functools.cached_property
    def logits(self) -> Float[Tensor, "rows ..."]:
        """Logits at the answer for every row, a-major: [rows, d_vocab_out].

        With several answer positions: [rows, n_answers, d_vocab_out]. Computed once, without hooks in mind:
        under hooks use ``run_with_cache`` or ``loss``.
        """
        logits = self.answer_logits()
        return logits[:, 0] if len(self.task.answer_positions) == 1 else logits

    @torch.no_grad()
    def answer_logits(self) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        """Logits at the answers under the hooks that are on; runs the model.

        Hooks may take means over rows, so under them all rows are one batch.
        """
        positions, tokens = list(self.task.answer_positions), self.task.tokens
        is_hooked = any(point.fwd_hooks for point in self.model.hook_points())
        chunks = tokens.split(len(tokens) if is_hooked else CHUNK_ROWS)
        return torch.cat([self.model(chunk)[:, positions] for chunk in chunks])

    @torch.no_grad()
    def run_with_cache(self, **kwargs: Any) -> "tuple[Tensor, ActivationCache]":
        """Logits [rows, n_ctx, d_vocab_out] and the cache of every hook, for all rows in order (a-major).

        ``kwargs`` go to the model's own ``run_with_cache`` (``names_filter`` saves memory).
        """
        return self.model.run_with_cache(self.task.tokens, **kwargs)

    def loss(self, subset: str = "test") -> float:
        """Mean cross-entropy in nats (float64 log-softmax) over "train", "test" or "all" rows; runs the model.

        Raises:
            ValueError: unknown subset, or the split is not known.
        """
        rows = self.task.rows(subset)
        return float(cross_entropy(self.answer_logits()[rows], self.task.labels[rows]).mean())

    def accuracy(self, subset: str = "test") -> float:
        """Share of the rows of "train", "test" or "all" answered right; runs the model.

        Raises:
            ValueError: unknown subset, or the split is not known.
        """
        rows = self.task.rows(subset)
        right = self.answer_logits()[rows].argmax(-1) == self.task.labels[rows]
        return float(right.all(dim=1).double().mean())
