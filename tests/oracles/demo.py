"""Writes the fixture of TransformerLens' demo checkpoint, whose config is a pickled object: needs TransformerLens 3.9.

PYTHONPATH=.venv/tl39 .venv/bin/python tests/oracles/demo.py
"""

from pathlib import Path
from typing import Any

import torch
import transformer_lens

HERE = Path(__file__).parent.parent / "fixtures" / "importers"
P = 11


def write(folder: Path) -> None:
    """Write a checkpoint of an untrained model with the demo's keys; all its checkpoints are copies of the model."""
    package: Any = transformer_lens
    cfg = package.HookedTransformerConfig(
        n_layers=1, n_heads=2, d_model=8, d_head=4, d_mlp=12, act_fn="relu", normalization_type=None,
        d_vocab=P + 1, d_vocab_out=P, n_ctx=3, init_weights=True, device="cpu", seed=999,
    )  # fmt: skip
    model = package.HookedTransformer(cfg)
    order = torch.randperm(P * P, generator=torch.Generator().manual_seed(598))
    content = {
        "model": model.state_dict(),
        "config": model.cfg,
        "checkpoints": [{name: t.clone() for name, t in model.state_dict().items()} for _ in range(3)],
        "checkpoint_epochs": [99, 199, 299],
        "train_losses": [1.0] * 300,
        "test_losses": [1.0] * 300,
        "train_indices": order[:36].clone(),
        "test_indices": order[36:].clone(),
    }
    torch.save(content, folder / "transformerlens_demo_object.pth")


if __name__ == "__main__":
    write(HERE)
