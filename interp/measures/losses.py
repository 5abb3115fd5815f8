"""Losses, accuracies and margins over the training rows, the test rows and all defined rows.

Losses are mean cross-entropies over all the logits that the model has, those of "=" and the like included.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.parts.activations import all_logits, logits_at_answers
from interp.parts.memo import part
from interp.parts.rows import rows_of
from interp.runs.snapshot import Snapshot, row_scores

from .registry import Over, Score, measure, scores

SOURCE = "Power et al. 2022 (2201.02177); float64 log-softmax as in Nanda et al. 2023 (2301.05217)"


@scores(
    SOURCE,
    train_loss=Over("train", chart="losses"),
    test_loss=Over("test", chart="losses"),
    all_loss=Over("all"),
    train_acc=Over("train", accuracy=True, chart="shares"),
    test_acc=Over("test", accuracy=True, chart="shares"),
    all_acc=Over("all", accuracy=True),
)
def model_score(snap: Snapshot, rows: str) -> Score:
    """{score} over {rows}, with every logit that the model has as a possible answer."""
    indices = rows_of(snap.run, rows)
    losses, is_right = row_results(snap)
    return Score(float(losses[indices].mean()), float(is_right[indices].double().mean()))


@measure("logits", "margins as in Zhong et al. 2023 (2306.17844) and the usual ones of classification")
def margin_min(snap: Snapshot) -> float:
    """Smallest margin over all defined rows: the right logit less the largest wrong one."""
    return float(_margins(snap).min())


@measure("logits", "as margin_min")
def margin_mean(snap: Snapshot) -> float:
    """Mean margin over all defined rows: the right logit less the largest wrong one."""
    return float(_margins(snap).mean())


@part
def row_results(snap: Snapshot) -> tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Loss of every row in nats (NaN without a defined answer), and whether the row is answered right."""
    return row_scores(snap.task, logits_at_answers(snap))


@part
def _margins(snap: Snapshot) -> Float[Tensor, " defined"]:
    rows = rows_of(snap.run, "all")
    labels, logits = snap.task.labels[rows], all_logits(snap)[rows].clone()
    right = logits.gather(1, labels)[:, 0]
    logits.scatter_(1, labels, -torch.inf)
    return (right - logits.amax(dim=1)).double()
