"""The cost of a training step as one size at a time grows: ``python tests/benchmarks/costs.py``."""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

CHANGES: dict[str, dict[str, Any]] = {
    "`nanda` (p 113, 3,830 rows, d_model 128)": {},
    "p 59": {"p": 59},
    "p 227": {"p": 227},
    "train_frac 0.6": {"train_frac": 0.6},
    "d_model 64": {"d_model": 64},
    "d_model 256": {"d_model": 256},
    "d_mlp 1024": {"d_mlp": 1024},
    "8 heads": {"n_heads": 8},
    "2 layers": {"n_layers": 2},
    "3 layers": {"n_layers": 3},
    "batches of 512": {"batch_size": 512},
}


def main() -> None:
    """Measure the costs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    import torch
    from steps import machine

    from train.config.presets import find_preset
    from train.config.settings import override
    from train.engine.loop import one_thread_each
    from train.engine.shapes import bytes_per_run
    from train.engine.stack import Stack

    print(f"Measured on {machine()}.\n")
    print("| run | ms a step | ms an evaluation | MB a snapshot | MB a further run |\n|---|---|---|---|---|")
    for name, changes in CHANGES.items():
        config = override(find_preset("nanda").config, changes)
        with one_thread_each() as threads:
            stack = Stack([config], torch.device("cpu"), threads)
            taken: dict[str, list[float]] = {"update": [], "evaluate": []}
            deadline = time.perf_counter() + given.seconds
            stack.update()
            while time.perf_counter() < deadline or len(taken["update"]) < 5:
                for _ in range(4):
                    started = time.perf_counter()
                    stack.update()
                    taken["update"].append(1e3 * (time.perf_counter() - started))
                started = time.perf_counter()
                stack.evaluate([0])
                taken["evaluate"].append(1e3 * (time.perf_counter() - started))
        weights = sum(t.numel() for t in stack.model_state(0).values()) * 4e-6
        step, evaluation = (statistics.median(taken[label]) for label in ("update", "evaluate"))
        print(
            f"| {name} | {step:.2f} | {evaluation:.1f} | {weights:.2f} | {bytes_per_run(config) / 1e6:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
