"""Model-steps per second of K runs side by side, and one after the other: ``python tests/benchmarks/stacks.py``.

The two take turns in one process, a few steps each; the gain is the median over rounds. ``--device cuda`` measures
the stack alone, beside the rate of its matrix products.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def work() -> dict:
    """Config and numbers of runs of each kind of work, by its name."""
    from train.config.model import ModelConfig
    from train.config.presets import find_preset
    from train.config.run import RunConfig
    from train.config.task import TaskConfig

    small = RunConfig(task=TaskConfig(p=31, train_frac=0.5), model=ModelConfig(d_model=64))
    two_layers = RunConfig(
        task=TaskConfig(p=31, train_frac=0.5), model=ModelConfig(d_model=64, n_layers=2, norm="post")
    )
    return {
        "`nanda`": (find_preset("nanda").config, (1, 8)),
        "480 rows, d_model 64, 1 layer": (small, (1, 4, 16, 64)),
        "480 rows, d_model 64, 2 layers": (two_layers, (1, 4, 16)),
    }


def main() -> None:
    """Measure the stacks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", help="part of the name of one kind of work")
    parser.add_argument("--k", type=int, nargs="*", help="numbers of runs, in place of the table's")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    import torch
    from steps import machine

    from train.config.settings import override
    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    device = torch.device(given.device)

    def seconds(stacks: list[Stack], steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            for stack in stacks:
                stack.update()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / steps

    print(
        f"Measured on {machine()}.\n\n| work | K | model-steps/s in turn | side by side | gain |\n|---|---|---|---|---|"
    )
    for name, (config, sizes) in work().items():
        if given.only is not None and given.only not in name:
            continue
        for k in given.k or sizes:
            configs = [override(config, {"seed": seed}) for seed in range(k)]
            with one_thread_each() as threads:
                together = [Stack(configs, device, threads)]
                apart = [Stack([c], device, threads) for c in configs] if device.type == "cpu" else together
                for stacks in (together, apart):
                    seconds(stacks, 2)
                steps = max(1, int(0.3 / seconds(together, 1)))
                pairs = [(seconds(apart, steps), seconds(together, steps)) for _ in range(given.rounds)]
            a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
            gain = statistics.median(x / y for x, y in pairs)
            print(f"| {name} | {k} | {k / a:,.0f} | {k / b:,.0f} | {gain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
