"""The mean logit by distance from the right answer."""

import pandas as pd
import plotly.graph_objects as go

from .style import PALETTE, layout


def profile_figure(frame: pd.DataFrame) -> go.Figure:
    """Mean logit against distance from the right answer; columns d (0 is right), logit."""
    fig = go.Figure(
        go.Scatter(
            x=frame["d"],
            y=frame["logit"],
            mode="lines+markers",
            marker={"size": 4, "color": PALETTE[0]},
            line={"width": 1.5, "color": PALETTE[0]},
            hovertemplate="d = %{x}: %{y:.3g} logits<extra></extra>",
        )
    )
    fig.update_xaxes(title="d, answers after the right one along the cycle")
    fig.update_yaxes(title="mean logit, centred")
    return layout(fig, height=380, showlegend=False)
