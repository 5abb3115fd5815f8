"""Frobenius norms of the weights over training."""

from typing import Any

import pandas as pd

from interp.figures.curves import norms_figure
from interp.html.blocks import Block, Figure
from interp.html.numbers import number
from interp.maths.norms import frobenius, total_norm
from interp.runs.run import Run
from interp.story.standing import at, over_run
from interp.story.steps import cursor_track
from interp.story.weights import norm_claims
from interp.story.words import WEIGHTS, weight_words

N_LINES = 8
"""Largest number of tensors with a line of their own."""
FIGURES = {"frobenius": "Frobenius norms of the weights over training"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure: the norm of each tensor that is ever nonzero, and of all tensors together."""
    steps = tuple(run.steps)
    frame = norms_frame(run)
    shown, left = largest(frame)
    names = list(dict.fromkeys(shown["tensor"]))
    totals: Any = frame[frame["tensor"] == "total"].set_index("step")["frobenius"]
    ends = frame[frame["step"] == steps[-1]].set_index("tensor")["frobenius"].drop("total")
    return [
        Figure(
            id="frobenius",
            fig=norms_figure(_in_words(run, shown), steps[-1], WEIGHTS["total"]),
            heading="Frobenius norms over training",
            takeaway=over_run(run, *norm_claims(run, totals, ends)),
            how="One line a part of the network, the thick one all of them together; a line that falls is a part "
            "whose weights shrink.",
            source="Root of the sum of squares, per tensor and over all tensors, in float64; "
            "compare [Liu et al. 2023](https://arxiv.org/abs/2210.01117). Tensors that are zero throughout are not "
            f"drawn{f', nor are {left} with smaller norms' if left else ''}.",
            alt="Line chart of the Frobenius norm of each weight tensor and of all together against step, both axes "
            "logarithmic.",
            steps=steps,
            tracks=(cursor_track(steps, trace=len(names)),),
            texts=tuple(
                f"{at(run, step)} the norm of all weights is {number(float(totals[step]), 4)}." for step in steps
            ),
            columns={"trace": "part", "x": "step", "y": "Frobenius norm"},
        )
    ]


def largest(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows of the total and of the N_LINES tensors with the largest norm at some step, and how many are left."""
    norms: Any = frame.groupby("tensor", sort=False)["frobenius"]
    peaks = norms.max().drop("total")
    kept = ["total", *peaks.nlargest(N_LINES).index]
    shown: Any = frame[frame["tensor"].isin(kept)]
    return shown, len(peaks) + 1 - len(kept)


def _in_words(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the names of tensors in words."""
    n_layers = run.config.model.n_layers
    return frame.assign(tensor=[weight_words(name, n_layers) for name in frame["tensor"]])


def norms_frame(run: Run) -> pd.DataFrame:
    """Columns step, tensor ("total" for all together), frobenius; one row per snapshot and tensor."""
    rows = []
    for step in run.steps:
        weights = run.weights(step)
        rows.append({"step": step, "total": total_norm(weights), **frobenius(weights)})
    wide = pd.DataFrame(rows).set_index("step")
    wide = wide.loc[:, (wide > 0).any() | (wide.columns == "total")]
    return wide.reset_index().melt("step", var_name="tensor", value_name="frobenius")
