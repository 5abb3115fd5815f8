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
    x: str = "b",
    y: str = "a",
    shared: tuple[float, float] | None = None,
) -> go.Figure:
    """Images two in a row, row 0 at the top, traces in order; colours of the range ``shared``, or of each one's own."""
    n_rows = -(-len(grids) // PER_ROW)
    fig = make_subplots(
        rows=n_rows, cols=PER_ROW, subplot_titles=list(titles), vertical_spacing=0.12 / max(n_rows - 1, 1)
    )
    for i, grid in enumerate(grids):
        trace = go.Heatmap(
            z=grid,
            colorscale=SEQUENTIAL,
            showscale=shared is not None and i == 0,
            zmin=None if shared is None else shared[0],
            zmax=None if shared is None else shared[1],
            name=titles[i],
            hovertemplate=f"{y} = %{{y}}, {x} = %{{x}}: %{{z:.4g}}<extra></extra>",
        )
        row, col = i // PER_ROW + 1, i % PER_ROW + 1
        fig.add_trace(trace, row=row, col=col)
        fig.update_yaxes(title=y, autorange="reversed", constrain="domain", row=row, col=col)
        number = "" if i == 0 else str(i + 1)
        fig.update_yaxes(scaleanchor=f"x{number}", row=row, col=col)
        fig.update_xaxes(title=x, constrain="domain", row=row, col=col)
    return layout(fig, height=80 + 400 * n_rows)
