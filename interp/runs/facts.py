"""Lines of text on a run's config and its evaluations, for cards in a notebook."""

import dataclasses
from typing import Any

import pandas as pd

from train.config.run import RunConfig

from .unknown import Unknown

ALWAYS = ("op", "p", "group", "train_frac", "arch", "n_layers", "d_model", "lr", "weight_decay", "steps", "seed")
"""Settings that are always shown; others are shown if they differ from their default."""


def config_words(config: RunConfig) -> str:
    """The most important known settings as a line of text, such as "op add, p 113, train_frac 0.3"."""
    parts = [value for value in vars(config).values() if dataclasses.is_dataclass(value)]
    settings = [(field, getattr(part, field.name)) for part in (*parts, config) for field in dataclasses.fields(part)]
    return ", ".join(f"{field.name} {value}" for field, value in settings if _is_shown(field, value))


def _is_shown(field: dataclasses.Field, value: Any) -> bool:
    if value is None or isinstance(value, Unknown) or dataclasses.is_dataclass(value):
        return False
    return field.name in ALWAYS or value != field.default


def evaluation_words(evaluations: pd.DataFrame, step: int | None = None) -> str:
    """Losses and accuracies at a step, or at the last evaluated step, as a line of text; "" if there are none."""
    rows = evaluations if step is None else evaluations[evaluations["step"] == step]
    if not len(rows):
        return ""
    row = rows.iloc[-1]
    return (
        f"step {int(row['step']):,}: train loss {row['train_loss']:.3g} and test loss {row['test_loss']:.3g} nats, "
        f"train accuracy {row['train_acc']:.1%} and test accuracy {row['test_acc']:.1%}"
    )
