"""The algorithm, clock or pizza, of runs of modular addition: ``python tests/benchmarks/circuits.py RUN ...``.

Frequencies are those with at least 1% of the energy of the neuron-logit map. Gradient symmetricity is 1 in a pizza,
lower in a clock; distance irrelevance is about 1 in a clock, 0.1 to 0.4 in a pizza (Zhong et al. 2023, 2306.17844).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def row(run: Any) -> str:
    """One row of the table: the measures of a run's last snapshot."""
    from interp.measures import measure_snapshot

    snap = run.last
    found = measure_snapshot(snap, ["test_acc", "W_L_energy", "gradient_symmetricity", "distance_irrelevance"])
    energy = {k: share for k, share in found["W_L_energy"].items() if share >= 0.01}
    keys = sorted(energy, key=lambda k: -energy[k])
    return (
        f"| {run.path.name} | {snap.step:,} | {found['test_acc']:.2%} | {len(keys)}: {', '.join(map(str, keys))} | "
        f"{sum(energy.values()):.1%} | {found['gradient_symmetricity']:.2f} | {found['distance_irrelevance']:.2f} |"
    )


def main() -> None:
    """Measure the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT)]
    from interp import open_run

    print("| run | step | test accuracy | frequencies | of W_L | gradient symmetricity | distance irrelevance |")
    print("|---|---|---|---|---|---|---|")
    for path in given.runs:
        print(row(open_run(path)), flush=True)


if __name__ == "__main__":
    main()
