"""Seconds per optimiser step of several implementations, and the floor: ``python tests/benchmarks/steps.py [--write]``.

Every contestant waits in a process of its own and takes its turn, a few steps at a time, round after round, so
that a busy moment of the machine hits all alike; ratios are medians over rounds. ``--write`` puts the table
into docs/background/speed.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TL39 = ROOT / ".venv/tl39"
NAMES = {
    "tl39": "TransformerLens 3.9 `HookedTransformer`",
    "tl4": "TransformerLens 4 `boot_native`",
    "mha": "PyTorch `nn.MultiheadAttention`",
    "plain": "our plain forward, PyTorch's autograd",
    "engine": "**our engine**",
    "floor": "bare products, PyTorch",
    "floor-numpy": "bare products, numpy's BLAS",
}
PRESETS = {"nanda": [n for n in NAMES if n != "mha"], "power": list(NAMES)}


class Contestant:
    """A process that takes optimiser steps on request."""

    def __init__(self, name: str, preset: str) -> None:
        env = dict(os.environ)
        path = [str(ROOT), str(HERE)] + ([str(TL39)] if name == "tl39" else [])
        env["PYTHONPATH"] = os.pathsep.join(path[::-1])
        command = [sys.executable, str(HERE / "contestants.py"), name, preset]
        self.process: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
        )
        self.seconds: list[float] = []
        self.peak_mb = 0.0
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{name} did not start")

    def turn(self, steps: int) -> None:
        """Take and time ``steps`` steps."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.seconds.append(answer["seconds"])
        self.peak_mb = answer["peak_mb"]

    def stop(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measure(preset: str, rounds: int, steps: int) -> dict[str, Contestant]:
    """Time all contestants on a preset, interleaved."""
    found = {name: Contestant(name, preset) for name in PRESETS[preset]}
    for _ in range(rounds):
        for contestant in found.values():
            contestant.turn(steps)
    for contestant in found.values():
        contestant.stop()
    return found


def ratio(found: dict[str, Contestant], name: str, to: str) -> float:
    """Median over rounds of the time of ``name`` relative to the time of ``to``."""
    return statistics.median(a / b for a, b in zip(found[name].seconds, found[to].seconds, strict=True))


def table(preset: str, found: dict[str, Contestant]) -> list[str]:
    """Rows of a preset in the table of docs/background/speed.md."""
    rows = []
    for name, contestant in found.items():
        ms = 1e3 * statistics.median(contestant.seconds)
        times = f"{ratio(found, name, 'engine'):.2f}"
        memory = "" if name.startswith("floor") else f"{contestant.peak_mb:,.0f} MB"
        rows.append(f"| `{preset}` | {NAMES[name]} | {ms:.2f} | {times} | {memory} |")
    return rows


def machine() -> str:
    """A line with the processor, its threads and the versions of the libraries."""
    import numpy as np
    import torch
    from threadpoolctl import threadpool_info

    from train.storage.provenance import cpu_name

    blas = {
        f"{i['internal_api']} {i['version']} ({i.get('architecture')})"
        for i in threadpool_info()
        if "version" in i and i["user_api"] == "blas"
    }
    return (
        f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"numpy {np.__version__} with {', '.join(sorted(blas))}"
    )


def main() -> None:
    """Measure the contestants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=16, help="steps a turn")
    parser.add_argument("--write", action="store_true", help="write the table into docs/background/speed.md")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE)]
    import products

    from train.config.presets import find_preset

    lines = ["| preset | what takes the step | ms a step | times ours | peak memory |", "|---|---|---|---|---|"]
    for preset in PRESETS:
        found = measure(preset, given.rounds, given.steps)
        lines += table(preset, found)
        work = products.flops(products.of_step(find_preset(preset).config))
        for floor in ("floor", "floor-numpy"):
            rate = work / statistics.median(found[floor].seconds) / 1e9
            print(f"{preset}: {work / 1e9:.2f} GFLOP a step; {NAMES[floor]}: {rate:.0f} GFLOP/s", file=sys.stderr)
    text = "\n".join([f"Measured on {machine()}.", "", *lines])
    print(text)
    if given.write:
        import re

        page = ROOT / "docs/background/speed.md"
        marks = r"(<!-- benchmark -->\n).*?(<!-- /benchmark -->)"
        page.write_text(re.sub(marks, rf"\g<1>\n{text}\n\n\g<2>", page.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
