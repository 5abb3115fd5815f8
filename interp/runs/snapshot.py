"""A run's weights at one step, as a model with hooks."""

import functools
import operator
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.html.cards import card
from train.passes.loss import cross_entropy
from train.tasks.task import Task

from .facts import evaluation_words

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

    from train.model import HookedMLP, HookedTransformer

    from .run import Run


CHUNK_ROWS = 16_384
"""Rows per forward pass of a model without hooks."""


def row_scores(
    task: Task, logits: Float[Tensor, "rows n_answers d_vocab_out"]
) -> tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Loss of every row in nats (NaN for rows without a defined answer), and whether the row is answered correctly."""
    loss = torch.full((len(task.labels),), torch.nan, dtype=torch.float64)
    loss[task.is_defined] = cross_entropy(logits[task.is_defined], task.labels[task.is_defined])
    return loss, (logits.argmax(dim=-1) == task.labels).all(dim=1)


class Snapshot:
    """A run's weights at one step.

    ``model`` is one object for the snapshot's life, so hooks added to it act in ``loss`` and ``run_with_cache``.
    """

    def __init__(self, run: "Run", step: int) -> None:
        self.run = run
        self.step = step
        self.kept: dict[tuple[Any, ...], Any] = {}
        """Results that measures share: see ``interp.parts.memo``."""

    def __repr__(self) -> str:
        return f"<Snapshot {self.run.name} step {self.step:,}>"

    def _repr_html_(self) -> str:
        """A card for notebooks: the step and the log's evaluation there; the model is not run."""
        evaluated = evaluation_words(self.run.evaluations, self.step) or "not evaluated in the log"
        return card(f"Snapshot {self.run.name}, step {self.step:,}", {"evaluation": evaluated})

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.getitem, (self.run, self.step)

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.run.task

    def forget(self) -> None:
        """Free the memory of the results that measures share."""
        self.kept.clear()

    @functools.cached_property
    def model(self) -> "HookedTransformer | HookedMLP":
        """The model in eval mode, on the CPU.

        Raises:
            DataError: the weights cannot be read, or do not fit the run's config.
        """
        from train.model import build_model  # imports transformer_lens, which reading a log does not need
        from train.model.sizes import check_sizes

        weights = self.run.weights(self.step)
        config = self.run.store.config  # complete, unlike run.config: an unknown init scheme does not matter here
        check_sizes(config, weights, f"step {self.step} of {self.run.path}")
        model = build_model(config)
        model.load_state_dict(weights)
        return model.eval()

    @functools.cached_property
    def logits(self) -> Float[Tensor, "rows ..."]:
        """Logits at the answer for every row, a-major: [rows, d_vocab_out].

        With several answer positions: [rows, n_answers, d_vocab_out]. Computed once and kept, so hooks added later do
        not change ``logits``: under hooks use ``run_with_cache``, ``answer_logits`` or ``loss``.
        """
        logits = self.answer_logits()
        return logits[:, 0] if len(self.task.answer_positions) == 1 else logits

    @torch.no_grad()
    def answer_logits(self) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        """Logits at the answers under the currently active hooks; runs the model.

        Under hooks all rows are one batch, because a hook may take means over rows.
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
        """Share of the rows of "train", "test" or "all" answered correctly; runs the model.

        Raises:
            ValueError: unknown subset, or the split is not known.
        """
        rows = self.task.rows(subset)
        right = self.answer_logits()[rows].argmax(-1) == self.task.labels[rows]
        return float(right.all(dim=1).double().mean())
