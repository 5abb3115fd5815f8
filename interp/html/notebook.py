"""Figures and tables as notebooks display them: texts are escaped, and no network requests are made."""

import json
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .tracks import HEIGHT_PX

MOST_ROWS = 60
"""Largest number of rows shown; of longer tables only the first and last rows are."""
TITLE_PX, STEP_PX = 15, 12
"""Font sizes of a title and of the step beside it, in pixels."""
ROOM_PX = 25
"""Height of a title, which is added to the figure's own."""


def titled(fig: go.Figure, title: str, step: str) -> go.Figure:
    """The figure ``fig`` with a title above it: ``title``, then ``step`` in smaller type; markup in both is escaped."""
    layout = fig.to_plotly_json()["layout"]
    text = escape(title) + (f'  <span style="font-size: {STEP_PX}px">{escape(step)}</span>' if step else "")
    place = {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"t": 10},
    }
    fig.update_layout(title={"text": text, "font": {"size": TITLE_PX}} | place)
    fig.update_layout(margin_t=(layout.get("margin") or {}).get("t", 0) + ROOM_PX)
    return fig.update_layout(height=layout.get("height", HEIGHT_PX) + ROOM_PX)


def bundle(fig: go.Figure, words: str, text: str) -> dict[str, Any]:
    """A figure by mimetype: plotly's own for notebooks that know it, HTML that holds plotly.js, and plain text."""
    config = {"showSendToCloud": False, "displaylogo": False}
    html = fig.to_html(full_html=False, include_plotlyjs=True, config=config)
    return {
        "application/vnd.plotly.v1+json": json.loads(fig.to_json() or "{}") | {"config": config},
        "text/html": f"<div><p>{escape(words)}</p>{html}</div>",
        "text/plain": text,
    }


def table_html(frame: pd.DataFrame, caption: str) -> str:
    """A captioned HTML table; names and values are text, never markup."""
    table = frame.to_html(index=False, escape=True, border=0, max_rows=MOST_ROWS, na_rep="–")
    return f"<div><strong>{escape(caption)}</strong>{table}</div>"
