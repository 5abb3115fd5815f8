"""The fixed triples (a, b, c) at which a clock's and a pizza's gradients are compared."""

import functools
import random
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Int64
from numba import njit
from torch import Tensor

from train.passes.compiling import COMPILE

TRIPLES = 100


@functools.cache
def sampled_triples(p: int, count: int = TRIPLES) -> Int64[Tensor, "count 3"]:
    """The triples (a, b, c) over which published values are averaged: the first ``count`` of a shuffle with seed 42.

    The result is that of Python's ``random.Random(42).shuffle`` of all p^3 triples in lexicographic order.
    """
    n = p**3
    state = random.Random(42).getstate()[1]
    twister = np.random.MT19937()
    twister.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(state[:-1], dtype=np.uint32), "pos": state[-1]},
    }
    order, last = np.arange(n), n - 1
    while last > 0:
        last = _shuffle(order, last, twister.random_raw(2 * n).astype(np.uint32))
    chosen = torch.from_numpy(order[:count])
    return torch.stack([chosen // p**2, chosen // p % p, chosen % p], dim=1)


@njit(**COMPILE)
@no_type_check
def _shuffle(order, last, words):
    """Continue Python's shuffle from position ``last`` downwards until the words run out; returns the next position.

    Python draws an integer below m from the leading bits of a word, as many bits as m has, and draws again where the
    result is not below m.
    """
    bits = 0
    while (last + 1) >> bits > 0:
        bits += 1
    for word in words:
        if last == 0:
            break
        while (last + 1) >> (bits - 1) == 0:
            bits -= 1
        drawn = np.int64(word) >> (32 - bits)
        if drawn <= last:
            order[last], order[drawn] = order[drawn], order[last]
            last -= 1
    return last
