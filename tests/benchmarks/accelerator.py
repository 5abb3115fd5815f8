"""Model-steps per second of K runs on a GPU, beside two floors: ``python tests/benchmarks/accelerator.py``.

The floors are the step's own matrix products, K at a time, at the rate measured here, and the bytes that these
products and the optimiser must move, at the rate of a large copy measured here. The share is of the slower one.
``--device cpu --k 1 2`` tries the command itself where there is no GPU.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ADAM_PASSES = 7
"""Reads of weights, gradient and two moments, writes of all but the gradient."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="nanda")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--k", type=int, nargs="*", default=[1, 4, 16, 64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    import torch
    from products import flops, of_step
    from steps import machine

    from train.arguments import find_device
    from train.engine import one_thread_each
    from train.precision import products
    from train.presets import find_preset
    from train.settings import override
    from train.stack import Stack

    device = find_device(given.device)
    config = override(find_preset(given.preset).config, {"precision": given.precision})
    shapes = of_step(config)

    def seconds(run: Callable[[], object]) -> float:
        """Of one call, of as many as take 0.2 s."""

        def several(count: int) -> float:
            started = time.perf_counter()
            for _ in range(count):
                run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return (time.perf_counter() - started) / count

        several(3)
        count = max(1, int(0.2 / several(3)))
        return statistics.median(several(count) for _ in range(given.rounds))

    def product_seconds(k: int) -> float:
        """All products of a step of ``k`` models, a kind at a time."""
        total = 0.0
        for m, inner, n in shapes:
            a, b, c = (torch.randn(k, *s, device=device) for s in ((m, inner), (inner, n), (m, n)))
            with products(given.precision, device):
                total += seconds(lambda a=a, b=b: a @ b)
                total += seconds(lambda b=b, c=c: c @ b.mT)
                total += seconds(lambda a=a, c=c: a.mT @ c)
        return total

    def bytes_per_second() -> float:
        """Of a large copy: reads and writes."""
        source = torch.empty(2**28 if device.type == "cuda" else 2**24, device=device)
        target = torch.empty_like(source)
        return 2 * source.numel() * source.element_size() / seconds(lambda: target.copy_(source))

    bandwidth = bytes_per_second()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    print(f"`{given.preset}`, {given.precision}, on {name}; a copy moves {bandwidth / 1e9:,.0f} GB/s.\n")
    print("| K | model-steps/s | ms a step | products alone | their rate, TFLOP/s | bytes alone | share of the floor |")
    print("|---|---|---|---|---|---|---|")
    for k in given.k:
        with one_thread_each() as threads:
            stack = Stack([override(config, {"seed": seed}) for seed in range(k)], device, threads)
            step = seconds(stack.update)
            n_weights = stack.weights.values.shape[1]
        del stack
        floor = product_seconds(k)
        touched = sum(m * inner + inner * n + m * n for m, inner, n in shapes)
        moved = k * 4 * (3 * touched + ADAM_PASSES * n_weights) / bandwidth
        rate = k * flops(shapes) / floor
        print(
            f"| {k} | {k / step:,.0f} | {1e3 * step:.3f} | {1e3 * floor:.3f} | {rate / 1e12:.2f} | {1e3 * moved:.3f} | "
            f"{max(floor, moved) / step:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
