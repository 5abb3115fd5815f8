"""The compact figures of a page's first screen: losses above accuracies, and bars of shares."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import CURSOR, PALETTE, TEST, TRAIN, cursor, layout, on_log_axis

COLOURS = {"train": TRAIN, "test": TEST, "all": PALETTE[2]}
NAMES = {"train": "training pairs", "test": "test pairs", "all": "all pairs"}


def story_figure(frame: pd.DataFrame, step: int) -> go.Figure:
    """Losses (nats, log scale) above accuracies; a curve for each of the columns that is there.

    Columns step, and any of train_loss, test_loss, all_loss, train_acc, test_acc, all_acc (NaN where unknown). The
    last traces are the cursors at ``step``, one a panel; without accuracies there is one panel.
    """
    panels = [what for what in ("loss", "acc") if any(name.endswith(f"_{what}") for name in frame.columns)]
    fig = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    x, spans = on_log_axis(frame["step"].tolist()), []
    for row, what in enumerate(panels, start=1):
        columns = [name for name in COLOURS if f"{name}_{what}" in frame]
        for name in columns:
            trace = go.Scatter(
                x=x, y=frame[f"{name}_{what}"], mode="lines" if len(frame) > 1 else "markers", name=NAMES[name],
                line={"color": COLOURS[name], "width": 2}, legendgroup=name, showlegend=row == 1,
            )  # fmt: skip
            fig.add_trace(trace, row=row, col=1)
        values = [v for name in columns for v in frame[f"{name}_{what}"].tolist() if 0 < v < float("inf")]
        spans.append((min(values), max(values)) if what == "loss" and values else (0.0, 1.0))
    for row, span in enumerate(spans, start=1):
        fig.add_trace(cursor(step, *span), row=row, col=1)
    fig.update_xaxes(type="log", dtick=1)
    fig.update_xaxes(title="step (log scale)", row=len(panels), col=1)
    for row, what in enumerate(panels, start=1):
        axis = (
            {"type": "log", "title": "loss (nats)", "exponentformat": "power", "dtick": 2}
            if what == "loss"
            else {"title": "accuracy", "range": [-0.04, 1.04], "tickformat": ".0%"}
        )
        fig.update_yaxes(**axis, row=row, col=1)
    return layout(fig, height=320)


def shares_figure(frame: pd.DataFrame, unit: str) -> go.Figure:
    """Bars of shares, and a mark at each bar for the share to expect without structure; columns name, share, even."""
    fig = go.Figure(go.Bar(x=frame["name"], y=frame["share"], marker_color=frame["colour"], name="share"))
    marks = {"symbol": "line-ew-open", "size": 16, "color": CURSOR, "line": {"width": 2}}
    fig.add_trace(go.Scatter(x=frame["name"], y=frame["even"], mode="markers", marker=marks, name="without structure"))
    fig.update_xaxes(type="category", title="irrep")
    fig.update_yaxes(title=unit, rangemode="tozero")
    return layout(fig, height=320)
