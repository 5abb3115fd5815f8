"""The table of the operation as an image."""

import pandas as pd
import plotly.graph_objects as go

from .style import layout

STATES = ("test, wrong", "test, right", "train, wrong", "train, right", "undefined")
COLOURS = ("#F0A35E", "#7CC4EE", "#B04A00", "#0072B2", "#8A8A8A")
WITHOUT_SPLIT = {0: "wrong", 1: "right", 4: "undefined"}
"""Names of the states of a run whose split is unknown, by index into ``STATES``."""


def answers_figure(frame: pd.DataFrame, has_split: bool = True, height: int = 620) -> go.Figure:
    """Right and wrong answers; columns a, b, state (index into ``STATES``, or one of ``WITHOUT_SPLIT``)."""
    image = frame.pivot(index="a", columns="b", values="state")
    n, named = len(STATES), dict(enumerate(STATES)) if has_split else WITHOUT_SPLIT
    scale = [[(i + side) / n, colour] for i, colour in enumerate(COLOURS) for side in (0, 1)]
    fig = go.Figure(
        go.Heatmap(
            z=image.to_numpy(),
            x=list(image.columns),
            y=list(image.index),
            zmin=-0.5,
            zmax=n - 0.5,
            colorscale=scale,
            colorbar={"tickvals": list(named), "ticktext": list(named.values()), "thickness": 14},
            hovertemplate="a = %{y}, b = %{x}<extra></extra>",
        )
    )
    fig.update_xaxes(title="b (index of the second operand)", constrain="domain")
    fig.update_yaxes(title="a (index of the first operand)", autorange="reversed", scaleanchor="x", constrain="domain")
    return layout(fig, height=height)
