"""A run of random models, its weights and biases large enough to matter: for tests that need no circuit."""

from pathlib import Path
from typing import Any

import torch


def untrained_run(root: Path, seeds: tuple[int, ...] = (1, 2), task: Any = None, **model: Any) -> Any:
    """An open run with one random model at each step 0, 10, 20, ...; all biases are drawn."""
    from interp import open_run
    from train.config import ModelConfig, RunConfig, ScheduleConfig, TaskConfig
    from train.model import build_model
    from train.store import RunStore

    small: dict[str, Any] = {"d_model": 16, "n_heads": 2, "d_mlp": 32, "biases": "all"}
    fields: dict[str, Any] = {"p": 7, "train_frac": 0.5} | (task or {})
    config = RunConfig(
        task=TaskConfig(**fields),
        model=ModelConfig(**(small | model)),
        schedule=ScheduleConfig(steps=10 * len(seeds)),
    )
    root.mkdir(parents=True, exist_ok=True)
    store = RunStore.create(root, config)
    for i, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        weights = build_model(config).state_dict()
        drawn = {name: t + 0.2 * torch.randn(t.shape, generator=generator) for name, t in weights.items()}
        store.save_snapshot(10 * i, drawn)
    return open_run(store.path)
