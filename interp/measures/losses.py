"""Losses, accuracies and margins over the training rows, the test rows and all rows."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from interp.parts.activations import all_logits, logits_at_answers
from interp.parts.memo import part
from interp.parts.rows import rows_of
from interp.runs.snapshot import Snapshot, row_scores
from train.passes.loss import cross_entropy

from .registry import measure

SOURCE = "Power et al. 2022 (2201.02177); float64 log-softmax as in Nanda et al. 2023 (2301.05217)"

Score = tuple[float, float]
"""Loss in nats, accuracy."""


def score(snap: Snapshot, logits: Float[Tensor, "chosen n"], rows: Int64[Tensor, " chosen"]) -> Score:
    """Mean loss and accuracy of logits that a measure has made for some rows."""
    labels = snap.task.labels[rows]
    right = logits.argmax(dim=1) == labels[:, 0]
    return float(cross_entropy(logits[:, None], labels).mean()), float(right.double().mean())


@part
def _row_scores(snap: Snapshot) -> tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    return row_scores(snap.task, logits_at_answers(snap))


@part
def _margins(snap: Snapshot) -> Tensor:
    """Right logit less the largest wrong one, of every defined row."""
    labels, rows = snap.task.labels, snap.task.rows("all")
    logits = all_logits(snap)[rows].clone()
    right = logits.gather(1, labels[rows])[:, 0]
    logits.scatter_(1, labels[rows], -torch.inf)
    margins = torch.full((len(labels),), torch.nan, dtype=torch.float64)
    margins[rows] = (right - logits.amax(dim=1)).double()
    return margins


def _loss(snap: Snapshot, subset: str) -> float:
    return float(_row_scores(snap)[0][rows_of(snap.run, subset)].mean())


def _accuracy(snap: Snapshot, subset: str) -> float:
    return float(_row_scores(snap)[1][rows_of(snap.run, subset)].double().mean())


@measure("nats", SOURCE)
def train_loss(snap: Snapshot) -> float:
    """Mean cross-entropy over the training rows, over all logits that the model has."""
    return _loss(snap, "train")


@measure("nats", SOURCE)
def test_loss(snap: Snapshot) -> float:
    """Mean cross-entropy over the test rows."""
    return _loss(snap, "test")


@measure("nats", SOURCE)
def all_loss(snap: Snapshot) -> float:
    """Mean cross-entropy over all defined rows."""
    return _loss(snap, "all")


@measure("share", SOURCE)
def train_acc(snap: Snapshot) -> float:
    """Share of the training rows whose answer has the largest logit."""
    return _accuracy(snap, "train")


@measure("share", SOURCE)
def test_acc(snap: Snapshot) -> float:
    """Share of the test rows whose answer has the largest logit."""
    return _accuracy(snap, "test")


@measure("share", SOURCE)
def all_acc(snap: Snapshot) -> float:
    """Share of all defined rows whose answer has the largest logit."""
    return _accuracy(snap, "all")


@measure("logits", "margins as in Zhong et al. 2023 (2306.17844) and the usual ones of classification")
def margin_min(snap: Snapshot) -> float:
    """Smallest margin over all defined rows: the right logit less the largest wrong one."""
    return float(_margins(snap)[rows_of(snap.run, "all")].min())


@measure("logits", "as margin_min")
def margin_mean(snap: Snapshot) -> float:
    """Mean margin over all defined rows."""
    return float(_margins(snap)[rows_of(snap.run, "all")].mean())
