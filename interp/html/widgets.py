"""A part of the page that is drawn by a script of its own, with arrays that the script computes with."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Widget:
    """A heading with words, and an element that a script fills.

    ``script`` is JavaScript that registers a function under ``name``: ``(window.widgets ??= {})[name] = (element,
    arrays, options, api) => ({ show() {} })``. The page calls ``show`` after each change of its state while the element
    is near the viewport. ``arrays`` arrive as ``{values, shape}`` with typed values (float16 as Float32Array),
    ``options`` as the JSON that they are. ``api`` holds ``state``, ``select(name, value)``, ``colours()`` and
    ``steps``. ``still`` is markdown for readers without scripts.
    """

    id: str
    heading: str
    takeaway: str
    source: str
    alt: str
    name: str
    script: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    still: str = ""
    how: str = ""
