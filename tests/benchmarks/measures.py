"""The cost of a snapshot's measures, beside a direct implementation: ``python tests/benchmarks/measures.py RUN``.

Times are medians of interleaved calls in one process, after imports and loading unless a row says otherwise. The direct
implementation (``tests/oracles/measures.py``) follows the definitions in numpy: dense projectors, cubes over (a, b, c),
one frequency at a time. The floor is the arithmetic of one forward pass over all pairs, at the rate of its products.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def of_snapshots(run: Any, steps: list[int], measure: Callable[[Any], object]) -> float:
    """Median seconds over snapshots, each with only its model in memory."""
    taken = []
    for step in steps:
        snap = run[step]
        assert snap.model is not None
        snap.forget()
        taken.append(seconds(lambda snap=snap: measure(snap)))
        snap.forget()
    return statistics.median(taken)


def circles(direct: Any, planes: dict[int, tuple[int, int]]) -> None:
    """Score every circle against every closed form, by the direct implementation."""
    for k, (first, _) in planes.items():
        direct.circle_fve(first, k)


def main() -> None:
    """Measure the costs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--snapshots", type=int, default=100, help="of the table: the last ones, as many as there are")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent)]
    from oracles.measures import STABLE, Direct
    from products import flops, of_rows, rate_in_torch
    from steps import machine

    from interp import key_freqs, open_run
    from interp.measures import load, measure_snapshot, table
    from interp.measures.circles import circle_planes

    load()
    run = open_run(given.run)
    assert run.last.model is not None and run.task is not None
    first = seconds(lambda: measure_snapshot(run.last, STABLE))
    keys, planes = list(key_freqs(run).ks), circle_planes(run.last)
    few, steps = run.steps[-5:], run.steps[-given.snapshots :]
    stable = of_snapshots(run, few * 2, lambda snap: measure_snapshot(snap, STABLE))
    every = of_snapshots(run, few, measure_snapshot)
    tabled = seconds(lambda: table(run, STABLE, steps))
    direct = of_snapshots(run, few[-3:], lambda snap: Direct(snap, keys).stable())
    apart = of_snapshots(run, few[-1:], lambda snap: circles(Direct(snap, keys), planes))
    fits = [name for name in load() if name.startswith("circle_")]
    alone = of_snapshots(run, few, lambda snap: measure_snapshot(snap, fits))
    products = of_rows(run.config, run.config.task.n_defined)
    rate = rate_in_torch(products)
    floor = flops(products) / 3 / rate  # the forward pass alone

    print(
        f"Measured on {machine()}. {run.name}: {len(STABLE)} stable names of {len(load())}, key frequencies {keys}.\n"
    )
    print("| what | seconds | times the stable names | times the floor |\n|---|---|---|---|")
    rows = {
        "stable names of a snapshot": stable,
        "the same, first call for this p (draws the probe triples, key frequencies)": first,
        "all measures of a snapshot": every,
        f"table of stable names, {len(steps)} snapshots, loading included": tabled,
        "direct implementation of the stable names": direct,
        f"circles alone ({len(planes)} of them, four closed forms each)": alone,
        "direct implementation of those": apart,
        f"floor: {flops(products) / 3e9:.2f} GFLOP at {rate / 1e9:.0f} GFLOP/s": floor,
    }
    for name, value in rows.items():
        print(f"| {name} | {value:.3f} | {value / stable:.1f} | {value / floor:.1f} |")


if __name__ == "__main__":
    main()
