"""Values over training that several sections show, computed in one pass over the snapshots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from interp.measures import charts, table
from interp.measures.losses import row_results
from interp.measures.restricted import excluded_2d, restricted_2d
from interp.parts.keyfreqs import key_freqs_of
from interp.parts.memo import NotApplicable, part
from interp.parts.pairs import clock_profile
from interp.parts.rows import has_law, law_of
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.streams import stream

from .keysteps import key_steps

BY_IRREP = ("irrep_logit_cos",)
"""Measures by irrep, for operations that have no frequencies."""
BY_FREQ = ("logit_cos", "logit_coefficient", "excluded_loss_logit2d_train_by_freq", "neuron_clusters")
PIZZA = ("gradient_symmetricity", "distance_irrelevance", "circularity")
DRAWS = 8
"""Number of random sets of frequencies over which the null of restricted and excluded losses is averaged."""
NULL_STEPS = 12
"""Number of snapshots at which the null of random frequencies is computed."""
NULLS = {
    "restricted_loss_logit2d_all": lambda snap, ks: restricted_2d(snap, "all", ks).loss,
    "excluded_loss_logit2d_train": lambda snap, ks: excluded_2d(snap, "train", ks).loss,
}
"""Losses that are also computed at random frequencies, as functions of a snapshot and frequencies."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Values of all snapshots, in the order of the run's steps."""

    frame: pd.DataFrame
    """``interp.measures.table`` of the measures that have a chart, of ``BY_FREQ``, ``BY_IRREP`` and ``PIZZA``."""
    profiles: np.ndarray | None
    """``parts.clock_profile`` [n_snapshots, n]; None where the operation has no law."""
    right: np.ndarray
    """Whether each row is answered right, bool [n_snapshots, rows]; False for rows without an answer."""
    nulls: pd.DataFrame
    """``NULLS`` at random frequencies: columns step, measure, draw, value; empty where there are none to draw."""


@part
def progress_of(run: Run) -> Progress:
    """Measures, profiles, right answers and nulls of all snapshots, in one pass."""
    profiles: list[np.ndarray] = []
    right: list[np.ndarray] = []
    nulls: list[tuple[int, str, int, float]] = []
    draws, null_steps = random_frequencies(run), set(key_steps(run.evaluations, run.steps, NULL_STEPS))

    def visit(snap: Snapshot) -> None:
        right.append(row_results(snap)[1].numpy())
        try:
            profiles.append(clock_profile(snap).numpy())
            if snap.step in null_steps:
                nulls.extend(_null(snap, draws))
        except NotApplicable:  # the operation has no law along a cycle: the page has no profile and no nulls
            pass

    names = [measure.name for measures in charts().values() for measure in measures]
    by_irrep = () if has_law(run) else BY_IRREP
    frame = table(run, dict.fromkeys([*names, *BY_FREQ, *by_irrep, *PIZZA]), visit=visit)
    null_frame = pd.DataFrame(nulls, columns=["step", "measure", "draw", "value"])
    return Progress(frame, np.stack(profiles) if profiles else None, np.stack(right), null_frame)


@part
def random_frequencies(run: Run) -> tuple[tuple[int, ...], ...]:
    """``DRAWS`` random sets of frequencies, each as large as the set of key frequencies and disjoint from it.

    The sets are the same at every call. Duplicates are dropped, so there may be fewer sets; there are none without key
    frequencies, or if the other frequencies are fewer than the key ones.
    """
    try:
        keys, n = key_freqs_of(run).ks, law_of(run).n
    except NotApplicable:
        return ()
    others = [k for k in range(1, n // 2 + 1) if k not in keys]
    if len(others) < len(keys):
        return ()
    generator = stream(0, "null frequencies")
    orders = [torch.randperm(len(others), generator=generator).tolist() for _ in range(DRAWS)]
    return tuple(dict.fromkeys(tuple(sorted(others[i] for i in order[: len(keys)])) for order in orders))


def _null(snap: Snapshot, draws: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, str, int, float]]:
    """Rows of ``Progress.nulls`` at one snapshot; without training rows there are only restricted losses."""
    for name, loss in NULLS.items():
        try:
            yield from ((snap.step, name, i, loss(snap, ks)) for i, ks in enumerate(draws))
        except NotApplicable:
            continue


def progress_rows(run: Run, names: Sequence[str]) -> pd.DataFrame:
    """The rows of ``Progress.frame`` that belong to the measures ``names``."""
    return progress_of(run).frame.query("measure in @names")
