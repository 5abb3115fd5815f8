"""Two-dimensional maps of the elements at one step."""

import pandas as pd
import plotly.graph_objects as go

from .style import CURSOR, CYCLIC, SEQUENTIAL, layout


def map_figure(
    points: pd.DataFrame, chains: dict[str, pd.DataFrame], colours: dict[str, bool], reach: float
) -> go.Figure:
    """Points joined by chains.

    Args:
        points: columns x, y, label and one numeric column per name in ``colours``.
        chains: columns x and y of a walk through the points, by name; rows of NaN interrupt the line.
        colours: whether the values of a column to colour by are cyclic, by name of the column. The first column
            and the first chain are shown; the others are shown when their legend entry is clicked.
        reach: both axes go from -reach to reach.
    """
    fig = go.Figure()
    for i, (name, walk) in enumerate(chains.items()):
        fig.add_trace(
            go.Scatter(
                x=walk["x"],
                y=walk["y"],
                mode="lines",
                line={"color": CURSOR, "width": 1},
                name=name,
                hoverinfo="skip",
                visible=True if i == 0 else "legendonly",
            )
        )
    for i, (name, is_cyclic) in enumerate(colours.items()):
        fig.add_trace(
            go.Scatter(
                x=points["x"],
                y=points["y"],
                mode="markers",
                marker={"color": points[name], "colorscale": CYCLIC if is_cyclic else SEQUENTIAL, "size": 8},
                text=points["label"],
                customdata=points[name],
                hovertemplate="%{text}<br>" + name + " %{customdata}<extra></extra>",
                name=name,
                visible=True if i == 0 else "legendonly",
            )
        )
    frame = [-reach, reach]
    fig.update_xaxes(title="map axis 1", zeroline=False, range=frame, constrain="domain")
    fig.update_yaxes(title="map axis 2", zeroline=False, range=frame, scaleanchor="x", constrain="domain")
    return layout(fig, height=560)
