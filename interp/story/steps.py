"""What figures over training share: the cursor that follows the slider, and a line of text for each step."""

from typing import Any

import numpy as np
import pandas as pd

from interp.figures.style import on_log_axis
from interp.html.tracks import Track
from interp.runs.run import Run

from .standing import at


def last_cursor(steps: tuple[int, ...], fig: Any) -> tuple[Track]:
    """The tracks of a figure in which only the cursor, its last trace, changes."""
    return (cursor_track(steps, trace=len(fig.data) - 1),)


def cursor_track(steps: tuple[int, ...], trace: int) -> Track:
    """The cursor's x at each step."""
    return Track(trace, "x", np.array([on_log_axis([step, step]) for step in steps]), is_cursor=True)


def step_texts(run: Run, frame: pd.DataFrame, steps: tuple[int, ...]) -> tuple[str, ...]:
    """One line of text per step: the finite values of a frame with columns step, measure, value."""
    there = frame.dropna(subset=["value"])
    words = (there["measure"] + " " + there["value"].map("{:.3g}".format)).groupby(there["step"]).agg(", ".join)
    return tuple(f"{at(run, step)}: {words.get(step, 'no value')}." for step in steps)
