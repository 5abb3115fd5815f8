"""Arrays as a page carries them: codes of few bytes, all of a section in one compressed payload.

Whole numbers that fit are exact, others within 1/65534 of their range; on log axes values are float32.
`assets/arrays.js` reads payloads.
"""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from plotly.utils import PlotlyJSONEncoder

ALIGNMENT = 8
"""Multiple of which every array's offset is, so that a script can view the bytes as numbers of any size."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Codes of an array, and what is needed to read them: `lo` and `hi` of numbers, or the `words` that they count."""

    codes: np.ndarray
    how: dict[str, Any] = field(default_factory=dict)


def packed(values: np.ndarray, on_log_axis: bool, coarse: bool = False) -> Packed:
    """Values as codes of 254 steps (u1) or 65534 (u2) of their range, and one more code for absent.

    Whole numbers that fit are exact, others within half a step. On a log axis, where small values matter as much as
    large ones, float32. Infinite values are absent, as NaN is.
    """
    if values.dtype.kind == "U":
        words, codes = np.unique(values, return_inverse=True)
        dtype = "<u2" if len(words) <= 65536 else "<u4"
        return Packed(codes.reshape(values.shape).astype(dtype), {"words": words.tolist()})
    values = values.astype(float)
    if on_log_axis:
        return in_full(values)
    there = np.isfinite(values)
    lo, hi = (float(values[there].min()), float(values[there].max())) if there.any() else (0.0, 0.0)
    is_whole = bool(np.all(values[there] == np.rint(values[there])))
    dtype, top = ("<u1", 254) if coarse or (is_whole and hi - lo <= 254) else ("<u2", 65534)
    if is_whole and hi - lo <= top:
        hi = lo + top
    codes = np.full(values.shape, top + 1)
    codes[there] = np.rint((values[there] - lo) / ((hi - lo) or 1.0) * top)
    return Packed(codes.astype(dtype), {"lo": lo, "hi": hi, "whole": is_whole})


def in_full(values: np.ndarray) -> Packed:
    """Values as float32, infinite ones as NaN."""
    return Packed(np.where(np.isfinite(values), values, np.nan).astype("<f4"))


def as_it_is(values: np.ndarray) -> Packed:
    """An array in its own type: whole numbers of 1, 2 or 4 bytes, float16 or float32. Raises ValueError for others."""
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    if kind == "b1":
        return Packed(values.astype("<u1"))
    if kind not in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4"):
        raise ValueError(f"arrays of {values.dtype} have no place in a page: use 8 to 32 bits")
    return Packed(values.astype(values.dtype.newbyteorder("<")))


class Payload:
    """JSON and the arrays that it names by number, compressed together: the same content gives the same bytes."""

    def __init__(self) -> None:
        """An empty payload."""
        self._arrays: list[dict[str, Any]] = []
        self._bytes: list[bytes] = []
        self._length = 0
        self._taken: dict[str, dict[str, int]] = {}

    def add(self, array: Packed) -> dict[str, int]:
        """Take an array. Returns what stands for it in the JSON: {"array": its number}."""
        codes = np.ascontiguousarray(array.codes)
        dtype = f"{codes.dtype.kind}{codes.dtype.itemsize}"
        self._arrays.append({"dtype": dtype, "shape": codes.shape, "at": self._length, **array.how})
        data = codes.tobytes()
        data += b"\0" * (-len(data) % ALIGNMENT)
        self._bytes.append(data)
        self._length += len(data)
        return {"array": len(self._arrays) - 1}

    def add_once(self, array: Packed) -> dict[str, int]:
        """Take an array like ``add``, unless an equal one was taken: that one stands for both."""
        codes = np.ascontiguousarray(array.codes)
        key = hashlib.sha256(f"{codes.dtype}{codes.shape}{array.how}".encode() + codes.tobytes()).hexdigest()
        if key not in self._taken:
            self._taken[key] = self.add(array)
        return self._taken[key]

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays taken so far, before compression."""
        return self._length

    def base64(self, content: Any) -> str:
        """The length of the JSON (u4), the JSON of ``content`` and of the arrays' places, and the arrays; gzipped."""
        text = json.dumps(
            {"content": content, "arrays": self._arrays}, cls=PlotlyJSONEncoder, separators=(",", ":")
        ).encode()
        text += b" " * ((-len(text) - 4) % ALIGNMENT)
        whole = len(text).to_bytes(4, "little") + text + b"".join(self._bytes)
        return base64.b64encode(gzip.compress(whole, 9, mtime=0)).decode()
