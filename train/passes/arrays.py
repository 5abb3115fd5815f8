"""Arrays that the steps of a training run use again and again."""

import math
import threading

import numpy as np
from jaxtyping import Float32

Array = np.ndarray
quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""A run that diverges is noticed by its loss, and told in one line."""

_kept = threading.local()
ALIGNED = 16
"""Numbers to a cache line: rows that begin on one are read faster."""


def buffer(name: str, *shape: int) -> Float32[Array, "..."]:
    """Memory of this thread's own, kept from step to step; its values are whatever was there."""
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
    """All heads' matrices in one."""
    *B, n_heads, d_model, d_head = W.shape
    return W.swapaxes(-3, -2).reshape(*B, d_model, n_heads * d_head)
