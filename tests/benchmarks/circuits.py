"""What runs of modular addition found, clock or pizza: ``python tests/benchmarks/circuits.py RUN ...``.

Frequencies are those with at least 1% of the energy of the neuron-logit map. Gradient symmetricity is 1 in a pizza,
lower in a clock; distance irrelevance is about 1 in a clock, 0.1 to 0.4 in a pizza (Zhong et al. 2023, 2306.17844).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def row(run: Any) -> str:
    """One run's last snapshot."""
    import torch

    from interp.maths.clocks import distance_irrelevance, gradient_symmetricity, sampled_triples
    from interp.maths.fourier import frequency_energy

    snap, p = run.last, run.config.task.p
    weights = snap.run.weights(snap.step)
    neuron_logit = (weights["blocks.0.mlp.W_out"] @ weights["unembed.W_U"])[:, :p].T
    energy = frequency_energy(neuron_logit)
    keys = [k + 1 for k in energy.argsort(descending=True).tolist() if energy[k] >= 0.01]
    right = snap.task.labels[:, 0]
    correct = snap.logits.gather(1, right[:, None]).view(p, p)
    triples = sampled_triples(p)
    tokens = snap.task.tokens[triples[:, 0] * p + triples[:, 1]]

    def logits(embedded: torch.Tensor) -> torch.Tensor:
        hooks = [("hook_embed", lambda value, hook: embedded)]
        return snap.model.run_with_hooks(tokens, fwd_hooks=hooks)[:, snap.task.answer_positions[0]]

    symmetricity = gradient_symmetricity(logits, snap.model.embed(tokens), triples[:, 2], 0, 1)
    share = float(energy[[k - 1 for k in keys]].sum())
    return (
        f"| {run.path.name} | {snap.step:,} | {snap.accuracy('test'):.2%} | {len(keys)}: {', '.join(map(str, keys))} | "
        f"{share:.1%} | {symmetricity:.2f} | {distance_irrelevance(correct):.2f} |"
    )


def main() -> None:
    """Measure and print."""
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
