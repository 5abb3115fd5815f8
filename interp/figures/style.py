"""Colours, axes and the step cursor shared by all figures. Lines and dots stand out on light and on dark grounds."""

import colorsys
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

TRAIN, TEST = "#0072B2", "#D55E00"
"""Okabe-Ito blue and vermilion."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07A00", "#7B6BD6", "#1C9BB5", "#8A8A8A")
"""Colours with a contrast of at least 3 on a white and on a dark ground, told apart with any colour vision."""
DASHES = ("solid", "dash", "dot", "dashdot")
PALE, SATURATION = 0.5, 0.18
"""Lightness and saturation of a frequency that is not key."""
GOLDEN = 0.381966
"""Share of the colour wheel between the hues of neighbouring frequencies that are not key."""
CYCLIC = "Phase"
SEQUENTIAL = "Viridis"
CURSOR = "#888888"
STEP_AXIS = "step (updates, log scale; step 0 drawn at 0.5)"


def frequency_colour(k: int, keys: Sequence[int]) -> str:
    """The colour of a frequency in every panel: strong for the key ones, the strongest first; pale for the others."""
    if k in keys:
        return PALETTE[keys.index(k) % len(PALETTE)]
    red, green, blue = colorsys.hls_to_rgb(k * GOLDEN % 1.0, PALE, SATURATION)
    return "#{:02X}{:02X}{:02X}".format(*(round(255 * part) for part in (red, green, blue)))


def line_style(i: int, colour: str | None = None) -> dict[str, Any]:
    """Colour, dash and width of line number i; dashes tell lines apart once the colours are used up."""
    return {"color": colour or PALETTE[i % len(PALETTE)], "dash": DASHES[i // len(PALETTE) % len(DASHES)], "width": 2}


def on_log_axis(steps: "list[int] | tuple[int, ...]") -> list[float]:
    """Positions of steps on a log axis, with step 0 drawn at 0.5."""
    return [max(float(step), 0.5) for step in steps]


def layout(fig: go.Figure, **options: Any) -> go.Figure:
    """The common layout: no template colours, tight margins, horizontal legend above."""
    fig.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **options,
    )
    return fig


def below_legend(fig: go.Figure) -> go.Figure:
    """Make room for panel titles below the legend; returns the figure."""
    fig.update_layout(margin_t=80, legend_y=1.1)
    return fig


def cursor(step: int, low: float, high: float, **where: Any) -> go.Scatter:
    """A vertical line at ``step``, from ``low`` to ``high`` on the y axis, without an entry in the legend."""
    x = on_log_axis([step, step])
    line = {"color": CURSOR, "width": 1, "dash": "dot"}
    name = {"name": "this step", "showlegend": False}
    return go.Scatter(x=x, y=[low, high], mode="lines", line=line, hoverinfo="skip", **name, **where)


def log_step_axis(fig: go.Figure, **where: Any) -> None:
    """Make an x axis the log axis of steps."""
    fig.update_xaxes(type="log", title=STEP_AXIS, dtick=1, **where)
