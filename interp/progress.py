"""What several sections show of all snapshots: taken in one pass over the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .measures import table
from .parts import NotApplicable, clock_profile, part
from .runs import Run, Snapshot

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
BY_FREQ = ("logit_cos", "logit_coefficient", "excluded_loss_logit2d_train_by_freq", "neuron_clusters")
PIZZA = ("gradient_symmetricity", "distance_irrelevance", "circularity")


@dataclass(frozen=True, eq=False)
class Progress:
    """Of all snapshots, in the order of the run's steps."""

    frame: pd.DataFrame
    """``interp.measures.table`` of the measures above."""
    profiles: np.ndarray | None
    """``parts.clock_profile`` [n_snapshots, n]; None where the operation has no law."""


@part
def progress_of(run: Run) -> Progress:
    """One pass over all snapshots."""
    profiles: list[np.ndarray] = []

    def visit(snap: Snapshot) -> None:
        try:
            profiles.append(clock_profile(snap).numpy())
        except NotApplicable:
            pass

    frame = table(run, [*LOSSES, *SHARES, *BY_FREQ, *PIZZA], visit=visit)
    return Progress(frame, np.stack(profiles) if profiles else None)


def chosen(run: Run, names: Sequence[str]) -> pd.DataFrame:
    """The rows of some measures, those that exist for the run."""
    return progress_of(run).frame.query("measure in @names")
