"""A grid that the page computes from a number that the reader types: the script's name and the script's arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .tracks import in_full


@dataclass(frozen=True, eq=False)
class Computed:
    """Attribute `z` of trace number `trace`, as a function of a whole number from `lowest` to `highest`.

    `script` names a file of `assets/` that registers a function of (arrays, number) under that name in
    `window.computed`; the function returns {z, text}. The figure itself is drawn for `start`. Raises ValueError for a
    `start` out of range.
    """

    script: str
    arrays: dict[str, np.ndarray]
    label: str
    lowest: int
    highest: int
    start: int
    trace: int = 0

    def __post_init__(self) -> None:
        if not self.lowest <= self.start <= self.highest:
            raise ValueError(f"start {self.start} is not from {self.lowest} to {self.highest}")

    @property
    def n_bytes(self) -> int:
        """Bytes that the arrays add to the page: float32 in base64."""
        return sum(4 * array.size for array in self.arrays.values()) * 4 // 3

    def data(self) -> dict[str, Any]:
        """The script's name, packed arrays and trace number, for the page's data block."""
        arrays = {name: in_full(array) for name, array in self.arrays.items()}
        return {"script": self.script, "arrays": arrays, "trace": self.trace}
