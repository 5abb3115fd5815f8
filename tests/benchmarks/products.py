"""The matrix products that no training step can avoid: the lower bound of its time.

Each product of the forward pass [m, k] @ [k, n] has two of the same arithmetic in the backward pass. Pairs of
weights that act on rows one after the other without anything between are multiplied first where that saves
arithmetic. Element-wise work, gathers, softmax, the optimiser are not counted.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

Product = tuple[int, int, int]
"""m, k, n."""


def of_step(config: Any) -> list[Product]:
    """Forward products of one step of a preset's model: one layer without norm, or layers with norms."""
    return of_rows(config, config.batch_rows or config.task.n_train)


def of_rows(config: Any, n: int) -> list[Product]:
    """Forward products of ``n`` rows."""
    model, task = config.model, config.task
    width, heads = model.d_model, model.n_heads * model.head_width
    d_mlp, out, ctx = model.mlp_width, config.d_vocab_out, task.n_ctx
    pairs = task.d_vocab + ctx
    if model.n_layers == 1 and model.norm == "none":
        fixed = [(heads, width, d_mlp + out), (d_mlp, width, out), (pairs, width, 3 * heads)]
        return [(n, heads, d_mlp), (n, heads, out), (n, d_mlp, out), *fixed]
    found = [(pairs, width, 3 * heads)]  # the first layer's queries, keys, values: once a token and position
    for layer in range(model.n_layers):
        last = layer == model.n_layers - 1
        rows = n if last else prefixes(config, n)
        if layer > 0:
            found += [(prefixes(config, n), width, 2 * heads), (rows, width, heads)]
        found += [(rows, heads, width), (rows, width, d_mlp), (rows, d_mlp, width)]
    return [*found, (n, width, out)]


def prefixes(config: Any, n: int) -> int:
    """Number of distinct prefixes in a batch of rows, over all positions: the rows that a causal layer needs."""
    words, seen = config.task.layout.split(), 0
    for i in range(len(words)):
        operands = sum(word in ("a", "b") for word in words[: i + 1])
        seen += min(n, config.task.n_elements**operands)
    return seen if config.model.attention == "causal" else n * len(words)


def flops(products: list[Product]) -> float:
    """Floating-point operations of a step: the forward pass, and twice as many in the backward pass."""
    return 3 * sum(2.0 * m * k * n for m, k, n in products)


def rate_in_torch(products: list[Product], repeats: int = 20) -> float:
    """FLOPs per second of these products alone by torch.mm, into allocated memory: the median of the repeats."""
    step, taken = in_torch(products), []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        taken.append(time.perf_counter() - started)
    return flops(products) / statistics.median(taken)


def in_torch(products: list[Product]) -> Callable[[], None]:
    """A function that takes each product and its two backward products by torch.mm, into allocated memory."""
    sets = [(torch.randn(m, k), torch.randn(k, n), torch.randn(m, n)) for m, k, n in products]
    outs = [(torch.empty_like(c), torch.empty_like(a), torch.empty_like(b)) for a, b, c in sets]

    def step() -> None:
        for (a, b, c), (into_c, into_a, into_b) in zip(sets, outs, strict=True):
            torch.mm(a, b, out=into_c)
            torch.mm(c, b.T, out=into_a)
            torch.mm(a.T, c, out=into_b)

    return step


def in_numpy(products: list[Product], threads: int) -> Callable[[], None]:
    """A function that takes all products by numpy.matmul, the rows of each split over the threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
    rng, lanes = np.random.default_rng(0), []
    for lane in range(threads):
        own = []
        for m, k, n in products:
            share = m // threads + (lane < m % threads)
            a, b, c = (rng.standard_normal(shape, np.float32) for shape in ((share, k), (k, n), (share, n)))
            own.append((a, b, c, np.empty_like(c), np.empty_like(a), np.empty_like(b)))
        lanes.append(own)
    pool = ThreadPoolExecutor(threads)

    def work(own: Any) -> None:
        for a, b, c, into_c, into_a, into_b in own:
            np.matmul(a, b, out=into_c)
            np.matmul(c, b.T, out=into_a)
            np.matmul(a.T, c, out=into_b)

    def step() -> None:
        list(pool.map(work, lanes))

    return step
