"""Frobenius norms of the weights over training."""

import pandas as pd

from interp.figures.curves import norms_figure
from interp.html.blocks import Block, Figure
from interp.maths.norms import frobenius, total_norm
from interp.runs.run import Run
from interp.story.claims import said
from interp.story.standing import at
from interp.story.steps import cursor_track
from interp.story.weights import norm_claims

FIGURES = {"frobenius": "Frobenius norms of the weights over training"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure: the norm of each tensor that is ever nonzero, and of all tensors together."""
    steps = tuple(run.steps)
    frame = norms_frame(run)
    names = list(dict.fromkeys(frame["tensor"]))
    totals = frame[frame["tensor"] == "total"].set_index("step")["frobenius"]
    ends = frame[frame["step"] == steps[-1]].set_index("tensor")["frobenius"].drop("total")
    return [
        Figure(
            id="frobenius",
            fig=norms_figure(frame, steps[-1]),
            heading="Frobenius norms over training",
            takeaway=said(*norm_claims(run, totals, ends)),
            source="Root of the sum of squares, per tensor and over all tensors, in float64; "
            "compare [Liu et al. 2023](https://arxiv.org/abs/2210.01117). Tensors that are zero throughout are not "
            "drawn.",
            alt="Line chart of the Frobenius norm of each weight tensor and of all together against step, both axes "
            "logarithmic.",
            steps=steps,
            tracks=(cursor_track(steps, trace=len(names)),),
            texts=tuple(f"{at(run, step)}: total norm {totals[step]:.4g}." for step in steps),
        )
    ]


def norms_frame(run: Run) -> pd.DataFrame:
    """Columns step, tensor ("total" for all together), frobenius; one row per snapshot and tensor."""
    rows = []
    for step in run.steps:
        weights = run.weights(step)
        rows.append({"step": step, "total": total_norm(weights), **frobenius(weights)})
    wide = pd.DataFrame(rows).set_index("step")
    wide = wide.loc[:, (wide > 0).any() | (wide.columns == "total")]
    return wide.reset_index().melt("step", var_name="tensor", value_name="frobenius")
