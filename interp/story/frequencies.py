"""Which frequencies the page shows and in which colours, and the selections that figures of frequencies belong to."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from interp.figures.style import frequency_colour
from interp.html.blocks import Link
from interp.parts.keyfreqs import key_freqs_of
from interp.parts.memo import NotApplicable
from interp.runs.run import Run


def keys_of(run: Run) -> tuple[int, ...]:
    """The key frequencies, the strongest first; empty where there are none."""
    try:
        return key_freqs_of(run).ks
    except NotApplicable:
        return ()


def colours_of(run: Run, ks: Iterable[int]) -> list[str]:
    """The colour of each frequency, the same in every panel of the run's page."""
    keys = keys_of(run)
    return [frequency_colour(int(k), keys) for k in ks]


def line_links(fig: Any, ks: dict[str, int]) -> tuple[Link, ...]:
    """Links of the lines of a figure that stand for one frequency each, by the line's name."""
    names = enumerate(trace.name for trace in fig.data)
    return tuple(Link(i, "k", "trace", np.array([ks[name]])) for i, name in names if name in ks)


def image_links(ks: Sequence[int], first: int = 0) -> tuple[Link, ...]:
    """Links of traces from number ``first`` on that stand for one frequency each."""
    return tuple(Link(first + i, "k", "trace", np.array([k])) for i, k in enumerate(ks))
