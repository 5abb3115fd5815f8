"""What figures over training share: the cursor that follows the slider, and the choice of a log's rows to draw."""

from typing import Any

import numpy as np

from interp.figures.style import on_log_axis
from interp.html.tracks import Track

MAX_POINTS = 2000
"""Largest number of log rows drawn as points of a curve."""


def last_cursor(steps: tuple[int, ...], fig: Any) -> tuple[Track]:
    """The tracks of a figure in which only the cursor, its last trace, changes."""
    return (cursor_track(steps, trace=len(fig.data) - 1),)


def cursor_track(steps: tuple[int, ...], trace: int) -> Track:
    """The cursor's x at each step."""
    return Track(trace, "x", np.array([on_log_axis([step, step]) for step in steps]), is_cursor=True)


def thinned(rows: Any) -> Any:
    """At most MAX_POINTS of the rows, spread evenly over row number and over its logarithm, with both ends."""
    n = len(rows)
    if n <= MAX_POINTS:
        return rows
    even = np.linspace(0, n - 1, MAX_POINTS // 2)
    indices = np.unique(np.concatenate([even, np.geomspace(1, n, MAX_POINTS // 2) - 1]).round().astype(int))
    return rows.iloc[indices]
