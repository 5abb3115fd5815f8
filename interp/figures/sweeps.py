"""Results of many runs, against the settings of a sweep."""

import pandas as pd
import plotly.graph_objects as go

from .style import PALETTE, layout


def crossings_figure(points: pd.DataFrame, axis: str) -> go.Figure:
    """Steps against a setting; columns x, step, group: points coloured by group, and a line through their medians."""
    fig = go.Figure()
    for i, (name, rows) in enumerate(points.groupby("group", sort=False)):
        colour = PALETTE[i % len(PALETTE)]
        medians = rows.groupby("x")["step"].median().reset_index()
        line = {"color": colour, "width": 1.5, "dash": ("solid", "dash", "dot")[i // len(PALETTE) % 3]}
        together = {"legendgroup": str(i), "name": str(name)}
        fig.add_trace(go.Scatter(x=medians["x"], y=medians["step"], mode="lines", line=line, **together))
        dots = {"mode": "markers", "marker": {"color": colour, "size": 7}, "showlegend": False}
        fig.add_trace(go.Scatter(x=rows["x"], y=rows["step"], **dots, **together))
    low, high = float(min(points["x"])), float(max(points["x"]))
    fig.update_xaxes(title=axis, type="log" if 0 < 8 * low <= high else "linear")
    fig.update_yaxes(title="step (updates, log scale)", type="log", exponentformat="none", dtick="D2")
    return layout(fig, height=440)
