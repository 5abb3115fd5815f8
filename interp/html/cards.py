"""A small HTML card for notebooks: a title over a table of names and values. No scripts; every text is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any

MOST_CHARACTERS = 300
"""Length at which longer values are cut."""


def card(title: str, rows: Mapping[str, Any]) -> str:
    """HTML of a title and one line per row; titles, names and values are text, never markup."""
    lines = "".join(
        f"<tr><th style='text-align:left'>{_text(name)}</th><td style='text-align:left'>{_text(value)}</td></tr>"
        for name, value in rows.items()
    )
    return f"<div><strong>{_text(title)}</strong><table>{lines}</table></div>"


def _text(value: Any) -> str:
    text = str(value)
    return escape(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}...")
