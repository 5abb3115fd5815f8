"""Loss and accuracy after interventions: one dot for each."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import PALETTE, below_legend, layout

SYMBOLS = ("diamond", "circle-open", "x-thin-open", "square-open", "triangle-up-open")
"""All but the first are open, so that dots on top of each other can all be seen."""
FLOOR = 1e-16
"""Smallest loss, in nats, that the axis is widened for."""


def effects_figure(frame: pd.DataFrame, losses: np.ndarray) -> go.Figure:
    """Rows of dots, one per label, coloured by ``how``; the log axis of losses spans the values of ``losses``.

    Columns of the frame: label, how, loss_nats, accuracy.

    Traces: for each value of ``how`` in turn, the losses, then the accuracies.
    """
    fig = _panels()
    for i, (how, rows) in enumerate(frame.groupby("how", sort=False)):
        marker = {"color": PALETTE[i % len(PALETTE)], "symbol": SYMBOLS[i % len(SYMBOLS)], "size": 10, "line_width": 2}
        for col, (column, tip) in enumerate((("loss_nats", "%{x:.3g} nats"), ("accuracy", "%{x:.1%}")), start=1):
            trace = go.Scatter(
                x=rows[column], y=rows["label"], mode="markers", marker=marker, name=str(how), legendgroup=str(how),
                showlegend=col == 1, hovertemplate="%{y}: " + tip + f"<extra>{how}</extra>",
            )  # fmt: skip
            fig.add_trace(trace, row=1, col=col)
    low, high = np.log10(np.maximum([losses.min(), losses.max()], FLOOR))
    fig.update_xaxes(type="log", range=[low - 0.3, high + 0.3], exponentformat="power", dtick=2, row=1, col=1)
    fig.update_xaxes(tickformat=".0%", range=[-0.03, 1.03], row=1, col=2)
    labels = list(dict.fromkeys(frame["label"]))
    fig.update_yaxes(categoryorder="array", categoryarray=labels[::-1], automargin=True)
    return below_legend(layout(fig, height=180 + 24 * len(labels)))


def _panels() -> go.Figure:
    return make_subplots(
        rows=1, cols=2, shared_yaxes=True, column_widths=[0.55, 0.45], horizontal_spacing=0.04,
        subplot_titles=("loss (nats, log scale)", "accuracy"),
    )  # fmt: skip
