"""Fourier spectra over training: an image, and bars at one step."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import PALETTE, SEQUENTIAL, cursor, layout, log_step_axis, on_log_axis


def spectrum_figure(frame: pd.DataFrame, step: int, colours: Sequence[str] | None = None) -> go.Figure:
    """An image of the energy share by frequency and step, and bars of the shares at one step.

    Columns step, k, energy (share of the squared norm). Traces: the image, the cursor at ``step``, the bars
    at ``step``, in ``colours`` from the lowest frequency on.
    """
    image = frame.pivot(index="k", columns="step", values="energy")
    bars, columns = frame[frame["step"] == step], on_log_axis(list(image.columns))
    fig = make_subplots(rows=1, cols=2, column_widths=[0.62, 0.38], horizontal_spacing=0.16)
    fig.add_trace(
        go.Heatmap(
            x=columns if len(columns) > 1 else _edges(columns[0]),
            y=list(image.index),
            z=image.to_numpy(),
            colorscale=SEQUENTIAL,
            zmin=0,
            colorbar={"title": "share", "x": 0.53, "thickness": 12},
            hovertemplate="step %{x:,.0f}<br>k = %{y}<br>share %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    low, high = min(frame["k"].tolist()) - 0.5, max(frame["k"].tolist()) + 0.5
    fig.add_trace(cursor(step, low, high, xaxis="x", yaxis="y"))
    fig.add_trace(
        go.Bar(
            x=bars["k"],
            y=bars["energy"],
            marker_color=PALETTE[0] if colours is None else list(colours),
            name="share at this step",
            xaxis="x2",
            yaxis="y2",
        )
    )
    log_step_axis(fig, row=1, col=1)
    fig.update_yaxes(title="frequency k (cycles)", range=[low, high], row=1, col=1)
    fig.update_xaxes(title="frequency k (cycles)", row=1, col=2)
    fig.update_yaxes(title="share of squared norm", row=1, col=2)
    return layout(fig, showlegend=False)


def _edges(x: float) -> list[float]:
    """Edges of a single column, whose width plotly cannot infer on a log axis."""
    return [x / 1.5, x * 1.5]
