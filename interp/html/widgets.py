"""Widgets: parts of a page that are drawn by a script of their own, and the arrays that their scripts read."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"float16": "f2", "float32": "f4", "uint8": "u1", "uint16": "u2", "int16": "i2", "uint32": "u4"}
"""Types of arrays that a page can hold, and their names in the page."""


@dataclass(frozen=True, eq=False)
class Widget:
    """A part of a page that a script draws.

    Attributes:
        id: unique in the section.
        heading, takeaway, source, alt: words around the widget, as in ``Figure``.
        name: the name under which the script registers the widget.
        script: JavaScript that sets ``window.widgets[name]`` to a function of (element, arrays, options, api), which
            fills the element and returns {show}: ``show()`` is called after every change of ``api.state``.
        arrays: what the script computes with, by name; the script gets {values, shape}, ``values`` being a typed array
            (a Float32Array for float16). Equal arrays of several widgets travel once.
        options: what else the script reads, as JSON.
        still: markdown that is shown in place of the widget to readers without scripts.

    Raises:
        ValueError: a malformed id, or an array of a type that pages cannot hold.
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
    """How to read the widget, in markdown; shown folded."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.id):
            raise ValueError(f"id {self.id!r}: letters, digits and _ are allowed")
        for name, array in self.arrays.items():
            if array.dtype.name not in DTYPES:
                raise ValueError(f"widget {self.id!r}: {name} is {array.dtype}; a page holds {', '.join(DTYPES)}")

    @property
    def n_bytes(self) -> int:
        """Bytes that the arrays add to a page, in base64."""
        return sum(4 * -(-array.nbytes // 3) for array in self.arrays.values())


def joined(*paths: Path) -> str:
    """One script of several files, which see each other's names and give the page none."""
    bodies = [path.read_text(encoding="utf-8").removeprefix('"use strict";\n') for path in paths]
    return "\n".join(['"use strict";', "(() => {", *bodies, "})();\n"])
