"""Measures over training that several sections show: taken once a run."""

from collections.abc import Sequence

import pandas as pd

from .measures import table
from .parts import part
from .runs import Run

LOSSES = (
    "train_loss",
    "test_loss",
    "restricted_loss_logit2d_all",
    "restricted_loss_neuron_test",
    "excluded_loss_logit2d_train",
    "excluded_loss_logit3d_train",
    "excluded_loss_neuron_train",
)
SHARES = ("train_acc", "test_acc", "logit_fve", "neuron_fraction_fve85", "gini_W_E", "gini_W_L")
BY_FREQ = ("logit_cos", "excluded_loss_logit2d_train_by_freq")
PIZZA = ("gradient_symmetricity", "distance_irrelevance", "circularity")


@part
def progress_of(run: Run) -> pd.DataFrame:
    """``interp.measures.table`` of those above over all snapshots."""
    return table(run, [*LOSSES, *SHARES, *BY_FREQ, *PIZZA])


def chosen(run: Run, names: Sequence[str]) -> pd.DataFrame:
    """The rows of some measures, those that exist for the run."""
    return progress_of(run).query("measure in @names")
