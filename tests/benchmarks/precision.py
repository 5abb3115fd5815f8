"""The effect of --precision on ms a step and on the step of 99%: ``python tests/benchmarks/precision.py``.

Every seed is trained at each precision; steps are those of the first evaluation, every ``--every`` steps, at 99%.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def first_crossings(configs: list[Any], device: Any, every: int, most: int) -> list[int | None]:
    """The first step of each run at 99% test accuracy; None if there is none up to ``most``."""
    from until import train_until

    found: list[int | None] = [None] * len(configs)

    def is_done(i: int, step: int, test_acc: float) -> bool:
        if test_acc >= 0.99:
            found[i] = step
        return found[i] is not None

    train_until(configs, device, every, most, is_done)
    return found


def ms_a_step(configs: list[Any], device: Any, rounds: int = 9) -> list[float]:
    """Median milliseconds a step of one run of each config, interleaved."""
    import torch

    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    with one_thread_each() as threads:
        stacks = [Stack([config], device, threads) for config in configs]
        times: list[list[float]] = [[] for _ in stacks]
        for turn in range(rounds + 1):
            for stack, seen in zip(stacks, times, strict=True):
                started = time.perf_counter()
                for _ in range(20):
                    stack.update()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if turn:
                    seen.append((time.perf_counter() - started) / 20)
    return [1e3 * statistics.median(seen) for seen in times]


def main() -> None:
    """Measure the precisions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="*", default=["quick", "fast"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", default="0..7")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--most", type=int, default=10_000, help="0: time steps alone")
    parser.add_argument("--d-model", type=int, help="of every preset, in place of its own")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    from steps import machine

    from train.cli.arguments import find_device, parse_seeds
    from train.config.presets import find_preset
    from train.config.settings import override

    device = find_device(given.device)
    print(f"Measured on {machine()}, device {device}, seeds {given.seeds}.\n")
    print("| preset | precision | ms a step | 99% test, median step | range | runs there |\n|---|---|---|---|---|---|")
    for name in given.presets:
        base = find_preset(name).config
        if given.d_model is not None:
            base = override(base, {"d_model": given.d_model})
        each = [override(base, {"precision": precision}) for precision in given.precisions]
        for config, ms in zip(each, ms_a_step(each, device), strict=True):
            runs = [override(config, {"seed": seed}) for seed in parse_seeds(given.seeds)]
            steps = first_crossings(runs, device, given.every, given.most)
            there = [step for step in steps if step is not None]
            row = f"| `{name}` | {config.optim.precision} | {ms:.2f} |"
            if there:
                row += f" {statistics.median(there):,.0f} | {min(there):,} to {max(there):,} |"
            print(f"{row} {len(there)} of {len(runs)} |", flush=True)


if __name__ == "__main__":
    main()
