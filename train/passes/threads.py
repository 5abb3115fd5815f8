"""Threads that divide the models of a stack among themselves, or pieces of one model's rows if models are few."""

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""A function like the built-in ``map``, whose result must be consumed."""


class Threads:
    """A pool of ``count`` threads, the caller's included; only work that releases the GIL runs in parallel."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count - 1, "groklens", torch.set_num_threads, (1,)) if count > 1 else None

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """``[function(item) for item in items]``, with each item processed by the next free thread."""
        todo = list(items)
        if self._pool is None or len(todo) < 2:
            return [function(item) for item in todo]
        results: list[Any] = [None] * len(todo)
        turn = itertools.count()  # next() is atomic under the GIL

        def lane() -> None:
            while (i := next(turn)) < len(todo):
                results[i] = function(todo[i])

        others = [self._pool.submit(lane) for _ in range(min(self.count, len(todo)) - 1)]
        lane()
        for other in others:
            other.result()  # raises the thread's exception, if any
        return results

    def over(self, run: Callable[[int, Map], Any], n: int) -> list[Any]:
        """``[run(k, each) for k in range(n)]``, where ``each`` maps over pieces of one k's work."""
        if n >= self.count:
            return self.map(lambda k: run(k, map), range(n))
        return [run(k, self.map) for k in range(n)]
