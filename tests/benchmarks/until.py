"""Runs trained side by side until each is done, for ``fast.py`` and ``precision.py``."""

from collections.abc import Callable
from typing import Any


def train_until(
    configs: list[Any], device: Any, every: int, steps: int, is_done: Callable[[int, int, float], bool]
) -> None:
    """Train for ``steps`` at most; a run leaves when it is done.

    ``is_done(run, step, test_acc)`` is called for each remaining run every ``every`` steps.
    """
    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    with one_thread_each() as threads:
        stack, active = Stack(configs, device, threads), list(range(len(configs)))
        for step in range(1, steps + 1):
            stack.update()
            if step % every:
                continue
            evaluated = zip(active, stack.evaluate(range(len(active))), strict=True)
            kept = [k for k, (i, scores) in enumerate(evaluated) if not is_done(i, step, scores["test_acc"])]
            if not kept:
                break
            if len(kept) < len(active):
                stack.keep(kept)
                active = [active[k] for k in kept]
