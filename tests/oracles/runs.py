"""Runs on disk without training: random weights, larger than initial ones so that losses and spectra differ."""

from pathlib import Path
from typing import Any

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
    "attention": {"op": "add", "p": 7, "attn_only": True, "d_mlp": None},
    "polynomial": {"op": "x2_y2", "p": 7},
    "group": {"op": "compose", "group": "S3"},
}


def random_run(root: Path, seed: int = 0, scale: float = 1.0, steps=(0, 10), **fields):
    """A Run whose snapshots have random weights, including biases."""
    from train.config.run import RunConfig
    from train.config.settings import override
    from train.model import build_model

    small: dict[str, Any] = {
        "d_model": 16,
        "n_heads": 2,
        "d_mlp": 24,
        "train_frac": 0.6,
        "split": "stream",
        "seed": seed,
    }
    small["steps"] = max(steps)
    if fields.get("arch") == "mlp":
        del small["n_heads"]  # it would do nothing, which is refused
    config = override(RunConfig(), {**small, **fields})
    generator = torch.Generator().manual_seed(seed)
    snapshots = {
        step: {
            name: torch.randn(t.shape, generator=generator) * scale / max(t.shape[0], 2) ** 0.5
            for name, t in build_model(config).state_dict().items()
        }
        for step in steps
    }
    return saved(root, config, snapshots)


def untrained_run(root: Path, seeds: tuple[int, ...] = (1, 2), task: Any = None, **model: Any) -> Any:
    """An open run with an initial model at steps 0, 10, 20, ...; every tensor is moved, biases are drawn too."""
    from train.config.model import ModelConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig
    from train.model import build_model

    small: dict[str, Any] = {"d_model": 16, "n_heads": 2, "d_mlp": 32, "biases": "all"}
    fields: dict[str, Any] = {"p": 7, "train_frac": 0.5, "split": "stream"} | (task or {})
    config = RunConfig(
        task=TaskConfig(**fields),
        model=ModelConfig(**(small | model)),
        schedule=ScheduleConfig(steps=10 * len(seeds)),
    )
    snapshots = {}
    for i, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        weights = build_model(config).state_dict()
        snapshots[10 * i] = {n: t + 0.2 * torch.randn(t.shape, generator=generator) for n, t in weights.items()}
    return saved(root, config, snapshots)


def saved(root: Path, config: Any, snapshots: Any) -> Any:
    """The open run of these weights by step, marked as done."""
    from interp import open_run
    from train.storage.store import RunStore

    root.mkdir(parents=True, exist_ok=True)
    store = RunStore.create(root, config)
    for step, weights in snapshots.items():
        store.save_snapshot(step, weights)
    store.mark_done(max(snapshots))
    return open_run(store.path)
