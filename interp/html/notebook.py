"""How figures and tables show themselves in a notebook: texts are escaped, and nothing asks the network."""

import json
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

MOST_ROWS = 60
"""Longer tables are shown by their first and last rows."""
TITLE_PX = 40
"""Height of a title above a figure's own margin."""


def titled(fig: go.Figure, title: str, subtitle: str) -> go.Figure:
    """The same figure with a title, in which plotly's markup means nothing, and with room for the title."""
    top = (fig.to_plotly_json()["layout"].get("margin") or {}).get("t", 0)
    heading = {"text": escape(title), "subtitle": {"text": escape(subtitle)}}
    place = {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"t": 12},
    }
    fig.update_layout(title=heading | place, margin_t=top + TITLE_PX)
    return fig


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
