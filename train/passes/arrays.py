"""Buffers that are reused at every training step."""

import math
import threading

import numpy as np
from jaxtyping import Float32

Array = np.ndarray
quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Silences numpy's warnings: a run that diverges is detected by its loss and reported in one line."""

_kept = threading.local()
ALIGNED = 16
"""Float32 numbers per cache line; buffers begin on a cache line, which makes reads faster."""


def buffer(name: str, *shape: int) -> Float32[Array, "..."]:
    """An uninitialised thread-local array that is reused from step to step, by name."""
    size = math.prod(shape)
    kept = getattr(_kept, name, None)
    if kept is None or len(kept) < size:
        raw = np.empty(size + ALIGNED, np.float32)
        skip = -raw.ctypes.data // raw.itemsize % ALIGNED
        kept = raw[skip : skip + size]
        setattr(_kept, name, kept)
    return kept[:size].reshape(shape)


def side_by_side(
    W: Float32[Array, "*B n_heads d_model d_head"],
) -> Float32[Array, "*B d_model heads_times_d_head"]:
    """The matrices of all heads, concatenated along columns."""
    *B, n_heads, d_model, d_head = W.shape
    return W.swapaxes(-3, -2).reshape(*B, d_model, n_heads * d_head)
