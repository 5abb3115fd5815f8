"""Every neuron as a point."""

import pandas as pd
import plotly.graph_objects as go

from .style import CURSOR, PALETTE, layout


def neurons_figure(frame: pd.DataFrame, threshold: float) -> go.Figure:
    """Share of variance against best frequency; columns neuron, k, fve. The line is at ``threshold``."""
    fig = go.Figure(
        go.Scatter(
            x=frame["k"],
            y=frame["fve"],
            mode="markers",
            marker={"color": PALETTE[0], "size": 6, "opacity": 0.6},
            text=[f"neuron {neuron}" for neuron in frame["neuron"]],
            hovertemplate="%{text}: k = %{x}, %{y:.1%}<extra></extra>",
            name="neurons",
        )
    )
    fig.add_hline(y=threshold, line={"color": CURSOR, "dash": "dash", "width": 1})
    fig.update_xaxes(title="frequency k that explains most (cycles)")
    fig.update_yaxes(title="share of variance explained", range=[-0.02, 1.02])
    return layout(fig, height=420)
