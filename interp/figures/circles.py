"""Small circles side by side: the elements as points, coloured by their place in the cycle."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import CYCLIC, layout

PER_ROW = 3


def circles_figure(panels: Sequence[tuple[str, pd.DataFrame]], reach: float, height: int = 320) -> go.Figure:
    """One panel for each title with its points; columns x, y, turn (0 to 1), label. One trace a panel, in order.

    Args:
        panels: titles, and the points of each panel.
        reach: all axes go from -reach to reach.
        height: of the whole figure, in pixels.
    """
    n_cols = 2 if len(panels) == 4 else min(PER_ROW, len(panels))
    n_rows = -(-len(panels) // n_cols)
    fig = make_subplots(
        rows=n_rows, cols=n_cols, subplot_titles=[title for title, _ in panels],
        horizontal_spacing=0.03, vertical_spacing=0.12,
    )  # fmt: skip
    for i, (title, points) in enumerate(panels):
        marker = {"color": points["turn"], "colorscale": CYCLIC, "cmin": 0.0, "cmax": 1.0, "size": 5}
        trace = go.Scatter(
            x=points["x"], y=points["y"], mode="markers", marker=marker, name=title, text=points["label"],
            hovertemplate="%{text}<extra>" + title + "</extra>", showlegend=False,
        )  # fmt: skip
        row, col = i // n_cols + 1, i % n_cols + 1
        fig.add_trace(trace, row=row, col=col)
        number = "" if i == 0 else str(i + 1)
        fig.update_yaxes(scaleanchor=f"x{number}", row=row, col=col)
    bare = {"range": [-reach, reach], "showticklabels": False, "zeroline": True, "constrain": "domain"}
    fig.update_xaxes(**bare)
    fig.update_yaxes(**bare)
    fig.update_annotations(font_size=13)
    return layout(fig, height=height)
