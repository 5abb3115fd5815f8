"""The gain of stacks in a sweep: the same runs stacked, one after the other, and as separate commands.

    python tests/benchmarks/sweeps.py [SPEC] [--steps 300]

Whole commands, files and set-up included; the first two take turns, twice. Commands of their own are timed for a few
runs of the sweep and scaled to all.
"""

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ALONE = 4
"""Runs that are timed as commands of their own."""


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - started


def shortened(path: Path, steps: int, folder: Path) -> Path:
    """A copy of the sweep's file with ``steps`` steps and no stop rule."""
    lines = [line for line in path.read_text().split("[stop]")[0].splitlines() if not line.startswith("steps")]
    at = lines.index("[base]") + 1
    short = folder / path.name
    short.write_text("\n".join([*lines[:at], f"steps = {steps}", *lines[at:]]))
    return short


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("spec", type=Path, nargs="?", default=ROOT / "docs/fractions.toml")
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from train.sweep.spec import read_spec

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = shortened(given.spec, given.steps, folder)
        cells = read_spec(spec).cells
        seconds: dict[int, list[float]] = {8: [], 1: []}
        for turn in range(2):
            for stack, found in seconds.items():
                out = folder / f"{stack}-{turn}"
                command = [sys.executable, "-P", "-m", "train.sweep", str(spec), "--out", str(out), "--quiet"]
                found.append(timed([*command, "--stack", str(stack)]))
        alone = []
        for cell in cells[:: max(1, len(cells) // ALONE)][:ALONE]:
            settings = {k: v for part in ("task", "model", "optim", "schedule") for k, v in changed(cell.config, part)}
            flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
            flags += [f"--seed={cell.config.seed}", "--out", str(folder / "alone"), "--quiet", "--preset", "quick"]
            alone.append(timed([sys.executable, "-P", "-m", "train.run", *flags]))
    print(f"{len(cells)} runs of {given.steps} steps, seconds")
    stacked = min(seconds[8])
    for stack, name in ((8, "stacks of 8"), (1, "one after the other")):
        times = ", ".join(f"{s:.1f}" for s in seconds[stack])
        print(f"{name:20} {times}: {min(seconds[stack]) / stacked:.2f} times")
    whole = sum(alone) / len(alone) * len(cells)
    print(f"{'a command each':20} {whole:.1f} (from {len(alone)} of them): {whole / stacked:.2f} times")


def changed(config, part: str):
    """Names and values of a part's fields that differ from the preset from which the commands start."""
    from train.config.presets import find_preset

    ours, base = getattr(config, part), getattr(find_preset("quick").config, part)
    names = (field.name for field in dataclasses.fields(ours))
    return [(name, getattr(ours, name)) for name in names if getattr(ours, name) != getattr(base, name)]


if __name__ == "__main__":
    main()
