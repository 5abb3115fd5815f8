"""Runs on disk without training: random weights, larger than initial ones so that losses and spectra differ."""

from pathlib import Path

import torch

SHAPES = {
    "add": {"op": "add", "p": 11},
    "add-even": {"op": "add", "p": 10},
    "sub": {"op": "sub", "p": 11},
    "mul": {"op": "mul", "p": 11},
    "div": {"op": "div", "p": 7},
    "compose": {"op": "compose", "group": "C6", "outputs": "answers"},
    "pizza": {"op": "add", "p": 7, "layout": "a b", "attention": "bidirectional", "attn_rate": 0.3},
    "two": {"op": "add", "p": 7, "n_layers": 2, "layout": "a op b =", "biases": "all"},
    "mlp": {"op": "add", "p": 7, "arch": "mlp", "layout": "a b"},
    "norm": {"op": "add", "p": 7, "norm": "pre"},
    "polynomial": {"op": "x2_y2", "p": 7},
    "group": {"op": "compose", "group": "S3"},
}


def random_run(root: Path, seed: int = 0, scale: float = 1.0, steps=(0, 10), **fields):
    """A Run whose snapshots have random weights, biases too."""
    from interp import open_run
    from train.config import RunConfig
    from train.model import build_model
    from train.settings import override
    from train.store import RunStore

    small = {"d_model": 16, "n_heads": 2, "d_mlp": 24, "train_frac": 0.6, "steps": max(steps), "seed": seed}
    config = override(RunConfig(), {**small, **fields})
    store = RunStore.create(root, config)
    generator = torch.Generator().manual_seed(seed)
    for step in steps:
        weights = {
            name: torch.randn(t.shape, generator=generator) * scale / max(t.shape[0], 2) ** 0.5
            for name, t in build_model(config).state_dict().items()
        }
        store.save_snapshot(step, weights)
    store.mark_done(max(steps))
    return open_run(store.path)
