"""Measures over training steps, with the transition shaded."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import CURSOR, DASHES, PALETTE, below_legend, cursor, layout, line_style, log_step_axis, on_log_axis

BAND = "rgba(230, 159, 0, 0.15)"
FLOOR = 1e-12
"""Smallest value that a log axis shows."""


def lines_figure(
    frame: pd.DataFrame,
    step: int,
    by: str,
    unit: str,
    is_log: bool = False,
    band: tuple[int, int] | None = None,
    level: float | None = None,
    floor: float = FLOOR,
    dashed: str = "",
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """One line for each value of the column ``by``.

    Args:
        frame: columns step, value and ``by``.
        step: position of the cursor, which is the last trace.
        by: the column whose values are the lines.
        unit: title of the y axis.
        is_log: whether the y axis is logarithmic; values up to ``floor`` are left out of it.
        band: steps between which the background is shaded.
        level: where a horizontal line is drawn.
        floor: see ``is_log``.
        dashed: a suffix of names: such a line is dashed, in the colour of the line named without the suffix.
        colours: of lines by name; the others get the palette's in turn.
    """
    values = [value for value in frame["value"].tolist() if (value > floor if is_log else value == value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    fig = go.Figure()
    if band is not None:
        fig.add_trace(_band(band, low, high))
    styles: dict[str, dict[str, object]] = {}
    for i, (name, rows) in enumerate(frame.groupby(by, sort=False)):
        y = rows["value"].where(rows["value"] > floor) if is_log else rows["value"]
        style = line_style(i, (colours or {}).get(str(name)))
        styles[str(name)] = style
        if dashed and str(name).endswith(dashed):
            style = {**styles.get(str(name).removesuffix(dashed), style), "dash": "dash", "width": 1.5}
        x = on_log_axis(rows["step"].tolist())
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", name=str(name), line=style))
    if level is not None:
        fig.add_hline(y=level, line={"color": CURSOR, "dash": "dash", "width": 1})
    fig.add_trace(cursor(step, low, high))
    log_step_axis(fig)
    if is_log:
        fig.update_yaxes(
            type="log", title=f"{unit}, log scale", exponentformat="power", dtick=1 if high < low * 1e5 else 2
        )
    else:
        fig.update_yaxes(title=unit)
    return layout(fig, height=440)


def _band(band: tuple[int, int], low: float, high: float) -> go.Scatter:
    """A shaded rectangle behind the lines."""
    first, last = on_log_axis(list(band))
    return go.Scatter(
        x=[first, first, last, last],
        y=[low, high, high, low],
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        mode="lines",
        name="transition",
        hoverinfo="skip",
    )


def panels_figure(frame: pd.DataFrame, step: int, panel: str, by: str, unit: str) -> go.Figure:
    """Small panels side by side.

    Args:
        frame: columns step, value, ``panel`` and ``by``.
        step: position of the cursors, one per panel, which are the last traces.
        panel: the column whose values are the panels.
        by: the column whose values are the lines; each has a colour and dash of its own, as lines may coincide.
        unit: title of the y axis.
    """
    names: Sequence[str] = list(dict.fromkeys(frame[panel]))
    lines = list(dict.fromkeys(frame[by]))
    values = frame["value"].dropna().tolist()
    fig = make_subplots(rows=1, cols=len(names), subplot_titles=list(map(str, names)), shared_yaxes=True)
    for col, name in enumerate(names, start=1):
        rows = frame[frame[panel] == name]
        for i, line in enumerate(lines):
            some = rows[rows[by] == line]
            x = on_log_axis(some["step"].tolist())
            style = {"color": PALETTE[i], "dash": DASHES[i % len(DASHES)], "width": 2}
            trace = go.Scatter(
                x=x, y=some["value"], mode="lines+markers", name=str(line), line=style, legendgroup=str(line),
                showlegend=col == 1,
            )  # fmt: skip
            fig.add_trace(trace, row=1, col=col)
        fig.update_xaxes(type="log", dtick=1, title="step (log scale)", matches="x", row=1, col=col)
    for col in range(1, len(names) + 1):
        fig.add_trace(cursor(step, min(values), max(values)), row=1, col=col)
    margin = 0.05 * (max(values) - min(values)) or 0.5
    fig.update_yaxes(range=[min(values) - margin, max(values) + margin])
    fig.update_yaxes(title=unit, row=1, col=1)
    return below_legend(layout(fig, height=440))
