"""Figures of losses, accuracies and norms over training steps."""

import pandas as pd
import plotly.graph_objects as go

from .style import TEST, TRAIN, cursor, layout, line_style, log_step_axis, on_log_axis


def loss_figure(frame: pd.DataFrame, step: int) -> go.Figure:
    """Losses in nats, NaN where unknown; columns step, train_loss, test_loss. The last trace is a cursor at a step."""
    fig = _two_curves(frame, "loss")
    low, high = _span(frame, "train_loss", "test_loss")
    fig.add_trace(cursor(step, low, high))
    fig.update_yaxes(type="log", title="loss (nats, log scale)", exponentformat="power", dtick=1)
    return fig


def accuracy_figure(frame: pd.DataFrame, step: int) -> go.Figure:
    """Train and test accuracy; columns step, train_acc, test_acc. The last trace is the cursor at ``step``."""
    fig = _two_curves(frame, "acc")
    fig.add_trace(cursor(step, 0.0, 1.0))
    fig.update_yaxes(title="accuracy", range=[-0.02, 1.02], tickformat=".0%")
    return fig


def norms_figure(frame: pd.DataFrame, step: int, total: str) -> go.Figure:
    """Frobenius norms; columns step, tensor, frobenius; ``total`` is drawn thick. The last trace is the cursor."""
    fig = go.Figure()
    for i, (name, rows) in enumerate(frame.groupby("tensor", sort=False)):
        style = line_style(i) | {"width": 3 if name == total else 1.5}
        x = on_log_axis(rows["step"].tolist())
        fig.add_trace(go.Scatter(x=x, y=rows["frobenius"], mode="lines", name=str(name), line=style))
    fig.add_trace(cursor(step, *_span(frame, "frobenius")))
    log_step_axis(fig)
    fig.update_yaxes(type="log", title="Frobenius norm (log scale)")
    return layout(fig, height=480)


def _two_curves(frame: pd.DataFrame, what: str) -> go.Figure:
    fig = go.Figure()
    x = on_log_axis(frame["step"].tolist())
    for subset, colour in (("train", TRAIN), ("test", TEST)):
        y = frame[f"{subset}_{what}"]
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", name=subset, line={"color": colour, "width": 2}))
    log_step_axis(fig)
    return layout(fig)


def _span(frame: pd.DataFrame, *columns: str) -> tuple[float, float]:
    """Smallest and largest positive value of some columns, for the ends of a log axis; 0.1 and 1 without any."""
    values = [value for column in columns for value in frame[column].tolist() if 0 < value < float("inf")]
    return (min(values), max(values)) if values else (0.1, 1.0)
