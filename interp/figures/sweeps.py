"""Results of many runs, against the settings of a sweep."""

import pandas as pd
import plotly.graph_objects as go

from .style import PALETTE, layout, log_step_axis


def overlay_figure(curves: pd.DataFrame) -> go.Figure:
    """Test accuracy of every run over training; columns group, run, step, test_acc. One trace for each group."""
    fig = go.Figure()
    for i, (name, rows) in enumerate(curves.groupby("group", sort=False)):
        parts = [run[["step", "test_acc"]] for _, run in rows.groupby("run", sort=False)]
        gap = pd.DataFrame({"step": [float("nan")], "test_acc": [float("nan")]})  # ends the line of a run
        joined = pd.concat([part for run in parts for part in (run, gap)][:-1])
        line = {"color": PALETTE[i % len(PALETTE)], "width": 1.2, "dash": _dash(i)}
        x = [max(step, 0.5) for step in joined["step"].tolist()]
        fig.add_trace(go.Scatter(x=x, y=joined["test_acc"], mode="lines", line=line, name=str(name)))
    log_step_axis(fig)
    fig.update_yaxes(title="test accuracy", range=[-0.02, 1.02], tickformat=".0%")
    return layout(fig, height=380, showlegend=True)


def _dash(i: int) -> str:
    """A style of line that tells groups of one colour apart."""
    return ("solid", "dash", "dot")[i // len(PALETTE) % 3]


def crossings_figure(points: pd.DataFrame, axis: str) -> go.Figure:
    """Steps against a setting; columns x, step, group: points coloured by group, and a line through their medians."""
    fig = go.Figure()
    for i, (name, rows) in enumerate(points.groupby("group", sort=False)):
        colour = PALETTE[i % len(PALETTE)]
        medians = rows.groupby("x")["step"].median().reset_index()
        line = {"color": colour, "width": 1.5, "dash": _dash(i)}
        together = {"legendgroup": str(i), "name": str(name)}
        fig.add_trace(go.Scatter(x=medians["x"], y=medians["step"], mode="lines", line=line, **together))
        dots = {"mode": "markers", "marker": {"color": colour, "size": 7}, "showlegend": False}
        fig.add_trace(go.Scatter(x=rows["x"], y=rows["step"], **dots, **together))
    low, high = float(min(points["x"])), float(max(points["x"]))
    fig.update_xaxes(title=axis, type="log" if 0 < 8 * low <= high else "linear")
    fig.update_yaxes(title="step (updates, log scale)", type="log", exponentformat="none", dtick="D2")
    return layout(fig, height=440)
