"""The solvable model: regimes, time exponents, theory beside simulation, compute fronts."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import CURSOR, PALETTE, layout

REGIMES = ("hard", "easy", "super-easy")
COLOURS = ("#D55E00", "#56B4E9", "#009E73")
HERE = {"color": "#7B6BD6", "symbol": "x", "size": 12}


def phase_figure(grid: pd.DataFrame, alpha: float, beta: float) -> go.Figure:
    """A map of the regimes, with a cross (trace 1) at the task; columns alpha, beta, regime (index in ``REGIMES``)."""
    image = grid.pivot(index="beta", columns="alpha", values="regime")
    scale = [[(i + side) / 3, colour] for i, colour in enumerate(COLOURS) for side in (0, 1)]
    fig = go.Figure(
        go.Heatmap(
            x=image.columns, y=image.index, z=image, zmin=-0.5, zmax=2.5, colorscale=scale, opacity=0.6,
            colorbar={"tickvals": [0, 1, 2], "ticktext": list(REGIMES), "thickness": 14}, name="regime",
        )
    )  # fmt: skip
    fig.add_trace(go.Scatter(x=[alpha], y=[beta], mode="markers", marker=HERE, name="this task", showlegend=False))
    fig.update_xaxes(title="alpha (capacity)")
    fig.update_yaxes(title="beta (source)")
    return layout(fig, height=420)


def time_figure(frame: pd.DataFrame, beta: float, exponent: float) -> go.Figure:
    """Time exponents against beta, with a cross (trace 2) at the task; columns beta, lazy, rich."""
    fig = go.Figure()
    for i, name in enumerate(("lazy", "rich")):
        line = {"color": PALETTE[i], "width": 2}
        fig.add_trace(go.Scatter(x=frame["beta"], y=frame[name], mode="lines", name=name, line=line))
    fig.add_trace(go.Scatter(x=[beta], y=[exponent], mode="markers", marker=HERE, name="this task"))
    fig.update_xaxes(title="beta (source)")
    fig.update_yaxes(title="time exponent")
    return layout(fig, height=380)


def curves_figure(theory: pd.DataFrame, simulation: pd.DataFrame, dtick: "str | int" = 2) -> go.Figure:
    """Losses over time, and below them the residuals of the simulation; ``dtick`` is plotly's, for the axis of losses.

    Columns of theory: t, loss and, where a slope is predicted, power; of simulation: t, loss, residual (a share of the
    theory's) and, where there are several seeds, their standard errors loss_error and residual_error.
    Traces: theory, slope (where there is one), simulation, residual.
    """
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06)
    lines = (("theory", "loss", PALETTE[0], "solid"), ("predicted slope", "power", CURSOR, "dash"))
    for name, column, colour, dash in lines[: 2 if "power" in theory else 1]:
        line = {"color": colour, "dash": dash, "width": 2}
        fig.add_trace(go.Scatter(x=theory["t"], y=theory[column], mode="lines", name=name, line=line), row=1, col=1)
    dots = {"mode": "markers", "marker": {"color": PALETTE[1], "size": 5}}
    for row, name, column in ((1, "simulation", "loss"), (2, "residual", "residual")):
        bars = {"array": simulation.get(f"{column}_error"), "thickness": 1, "width": 0}
        fig.add_trace(
            go.Scatter(
                x=simulation["t"], y=simulation[column], error_y=bars if bars["array"] is not None else None, name=name,
                showlegend=row == 1, **dots,
            ),
            row=row,
            col=1,
        )  # fmt: skip
    fig.update_xaxes(type="log", exponentformat="power", dtick=1)
    fig.update_xaxes(title="t (step size times updates, log scale)", row=2, col=1)
    fig.update_yaxes(title="loss (log scale)", type="log", exponentformat="power", dtick=dtick, row=1, col=1)
    fig.update_yaxes(title="residual", tickformat=".1%", row=2, col=1)
    return layout(fig, height=560)


def front_figure(losses: pd.DataFrame, front: pd.DataFrame) -> go.Figure:
    """A line of loss over compute for each width, and the compute-optimal front.

    Columns of losses: compute, loss, n (the width); of the front: compute, loss. Traces: one per width, then the front.
    """
    fig = go.Figure()
    for i, (n, rows) in enumerate(losses.groupby("n", sort=True)):
        line = {"color": PALETTE[i % len(PALETTE)], "width": 1.5}
        fig.add_trace(go.Scatter(x=rows["compute"], y=rows["loss"], mode="lines", name=f"N = {n:g}", line=line))
    line = {"color": CURSOR, "width": 3, "dash": "dot"}
    fig.add_trace(go.Scatter(x=front["compute"], y=front["loss"], mode="lines", name="predicted slope", line=line))
    fig.update_xaxes(type="log", title="compute C = N t (log scale)", exponentformat="power", dtick=1)
    fig.update_yaxes(type="log", title="loss (log scale)", exponentformat="power", dtick=1)
    return layout(fig, height=460)
