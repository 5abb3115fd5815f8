"""Steps and seconds to a stable 99% test accuracy, over seeds and methods: ``python tests/benchmarks/fast.py``.

A run's step is the first evaluation (every 5 steps) from which its test accuracy stays at 99% or more for 1,000
further steps; its seconds are those of training that many steps alone, evaluations and start aside. No setting here
was chosen on seeds 0 to 99.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EVERY, AFTER = 5, 1000

BASE = {
    "p": 113,
    "train_frac": 0.3,
    "split": "stream",
    "init": "transformerlens",
    "biases": "none",
    "outputs": "answers",
}
ORTHOGONAL = {"orthogonal_gradient": True, "decay_steps": 250, "decay_to": 0.03}
METHODS: dict[str, dict[str, Any]] = {
    "AdamW, lr 0.01, decay 2, constant lr": {"lr": 0.01, "weight_decay": 2.0},
    "AdamW, lr 0.015, decay 4, falling lr, 8 heads": {
        "lr": 0.015,
        "weight_decay": 4.0,
        "decay_steps": 250,
        "decay_to": 0.03,
        "n_heads": 8,
    },
    "Grokfast, AdamW, lr 0.005, decay 7, falling lr": {
        "lr": 0.005,
        "weight_decay": 7.0,
        "decay_steps": 150,
        "decay_to": 0.2,
        "beta1": 0.8,
        "beta2": 0.95,
        "eps": 1e-6,
        "grokfast_alpha": 0.9,
        "grokfast_lambda": 1.0,
    },
    "Muon, lr 0.01, decay 3, falling lr": {
        "optimizer": "muon",
        "lr": 0.01,
        "weight_decay": 3.0,
        "decay_steps": 250,
        "decay_to": 0.1,
        "n_heads": 8,
    },
    "norm held, Adam, lr 0.01, falling lr, 8 heads": {
        "lr": 0.01,
        "weight_decay": 0.0,
        "decay_steps": 250,
        "decay_to": 0.03,
        "n_heads": 8,
        "norm_clamp": 1.0,
    },
    "orthogonal gradient, AdamW, lr 0.015, decay 0.42, 8 heads": {
        **ORTHOGONAL,
        "lr": 0.015,
        "weight_decay": 0.42,
        "n_heads": 8,
    },
}
"""Beside preset ``fast``: orthogonal gradient and norm held. Each at the best settings that a random search found:
some 20 to 40 of them, 4 seeds each, none of 0 to 99."""


def stable_steps(configs: list[Any], most: int) -> list[int | None]:
    """The step from which each run holds 99% for ``AFTER`` further steps; None if there is none up to ``most``."""
    import torch
    from until import train_until

    since: dict[int, int] = {}
    found: list[int | None] = [None] * len(configs)

    def is_done(i: int, step: int, test_acc: float) -> bool:
        if test_acc < 0.99:
            since.pop(i, None)
            return step >= most
        since.setdefault(i, step)
        if step - since[i] < AFTER:
            return False
        found[i] = since[i]
        return True

    train_until(configs, torch.device("cpu"), EVERY, most + AFTER, is_done)
    return found


def seconds_of(config: Any, steps: int) -> float:
    """Wall-clock seconds of ``steps`` updates alone, without evaluations and set-up."""
    import torch

    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    with one_thread_each() as threads:
        stack = Stack([config], torch.device("cpu"), threads)
        started = time.perf_counter()
        for _ in range(steps):
            stack.update()
        return time.perf_counter() - started


def main() -> None:
    """Measure the methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0..7")
    parser.add_argument("--most", type=int, default=500, help="give up on a run that is not there by this step")
    parser.add_argument("--only", help="part of the names of the methods")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    from steps import machine

    from train.cli.arguments import parse_seeds
    from train.config.presets import PRESETS
    from train.config.run import RunConfig
    from train.config.settings import override

    base = override(RunConfig(), BASE)
    methods = {name: override(base, changes) for name, changes in METHODS.items()}
    methods["preset `fast`"] = PRESETS["fast"].config
    print(f"Measured on {machine()}, seeds {given.seeds}.\n")
    print("| method | stable | median step | range | median s | range | steps |\n|---|---|---|---|---|---|---|")
    for name, config in methods.items():
        if given.only is not None and given.only not in name:
            continue
        configs = [override(config, {"seed": seed}) for seed in parse_seeds(given.seeds)]
        steps = stable_steps(configs, given.most)
        there = [step for step in steps if step is not None]
        row = f"| {name} | {len(there)} of {len(steps)} |"
        if there:
            seconds = [seconds_of(c, step) for c, step in zip(configs, steps, strict=True) if step is not None]
            row += f" {statistics.median(there):.0f} | {min(there)} to {max(there)} |"
            row += f" {statistics.median(seconds):.1f} | {min(seconds):.1f} to {max(seconds):.1f} |"
        print(row + f" {json.dumps(steps)} |", flush=True)


if __name__ == "__main__":
    main()
