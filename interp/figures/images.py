"""Images of n x n grids."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .style import SEQUENTIAL, layout

PER_ROW = 2


def image_figure(grid: np.ndarray, what: str, x: str = "b", y: str = "a") -> go.Figure:
    """One image [rows, columns], row 0 at the top; ``what`` names the colours."""
    fig = go.Figure(
        go.Heatmap(
            z=grid,
            colorscale=SEQUENTIAL,
            colorbar={"title": what, "thickness": 14},
            hovertemplate=f"{y} = %{{y}}, {x} = %{{x}}: %{{z:.4g}}<extra></extra>",
        )
    )
    fig.update_xaxes(title=x, constrain="domain")
    fig.update_yaxes(title=y, autorange="reversed", scaleanchor="x", constrain="domain")
    return layout(fig, height=560)


def images_figure(
    grids: Sequence[np.ndarray],
    titles: Sequence[str],
    what: str,
    shared: tuple[float, float],
    x: str = "b",
    y: str = "a",
) -> go.Figure:
    """Images two in a row, row 0 at the top, traces in order; ``what`` names the colours, which span ``shared``."""
    n_rows = -(-len(grids) // PER_ROW)
    fig = make_subplots(
        rows=n_rows, cols=PER_ROW, subplot_titles=list(titles), vertical_spacing=0.12 / max(n_rows - 1, 1)
    )
    for i, grid in enumerate(grids):
        trace = go.Heatmap(
            z=grid,
            colorscale=SEQUENTIAL,
            showscale=i == 0,
            zmin=shared[0],
            zmax=shared[1],
            colorbar={"title": {"text": what, "side": "right"}, "thickness": 14},
            name=titles[i],
            hovertemplate=f"{y} = %{{y}}, {x} = %{{x}}: %{{z:.4g}}<extra></extra>",
        )
        row, col = i // PER_ROW + 1, i % PER_ROW + 1
        fig.add_trace(trace, row=row, col=col)
        fig.update_yaxes(autorange="reversed", constrain="domain", row=row, col=col)
        number = "" if i == 0 else str(i + 1)
        fig.update_yaxes(scaleanchor=f"x{number}", row=row, col=col)
        fig.update_xaxes(title=x if i + PER_ROW >= len(grids) else None, constrain="domain", row=row, col=col)
    fig.update_yaxes(title=y, col=1)
    fig.update_yaxes(showticklabels=False, col=2)  # the same labels as in column 1
    fig.update_annotations(font_size=13)
    return layout(fig, height=80 + 400 * n_rows)
