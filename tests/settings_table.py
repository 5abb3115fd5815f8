"""Values other than the default for every setting of a run, and a tiny run to try them on.

Choices and flags are read from the field's type; numbers and names stand in ``OTHERS``. A field added to the config
without a value here fails the tests that go over all settings.
"""

import types
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

OTHERS: dict[str, tuple[Any, ...]] = {
    "seed": (1,),
    "task.op": ("mul", "sub"),
    "task.p": (7,),
    "task.group": ("C11", "S3"),
    "task.train_frac": (0.6,),
    "task.split_seed": (4,),
    "task.outliers": (3,),
    "model.n_layers": (2, 3),
    "model.d_model": (12,),
    "model.n_heads": (1,),
    "model.d_head": (5,),
    "model.d_mlp": (20,),
    "model.attn_rate": (0.0, 0.3),
    "model.init_scale": (2.0,),
    "model.output_scale": (3.0,),
    "optim.lr": (3e-3,),
    "optim.weight_decay": (0.3,),
    "optim.beta1": (0.8,),
    "optim.beta2": (0.9,),
    "optim.eps": (1e-6,),
    "optim.momentum": (0.5,),
    "optim.warmup_steps": (2,),
    "optim.decay_steps": (40,),
    "optim.decay_to": (0.5,),
    "optim.batch_size": ("power", 20),
    "optim.update_noise": (0.1, 0.2),
    "optim.weight_noise": (0.01, 0.02),
    "optim.dropout": (0.2, 0.4),
    "optim.muon_momentum": (0.9,),
    "optim.grokfast_alpha": (0.9, 0.8),
    "optim.grokfast_window": (3, 4),
    "optim.grokfast_lambda": (1.0,),
    "optim.grokfast_from": (2,),
    "optim.norm_clamp": (1.2, 0.9),
    "schedule.steps": (37,),
    "schedule.per_decade": (3,),
}
NEEDS: dict[str, dict[str, Any]] = {
    "task.group": {"op": "compose"},
    "model.arch": {"layout": "a b"},
    "model.attn_only": {"d_mlp": None},
    "optim.momentum": {"optimizer": "sgd"},
    "optim.decay_to": {"decay_steps": 40},
    "optim.muon_momentum": {"optimizer": "muon"},
    "optim.grokfast_lambda": {"grokfast_alpha": 0.9},
    "optim.grokfast_from": {"grokfast_alpha": 0.9},
}
"""Other settings, by flat name, that a setting needs to be allowed."""


def values_of(name: str) -> tuple[Any, ...]:
    """Values of a setting that differ from its default."""
    from train.config.run import RunConfig

    part, _, field = name.rpartition(".")
    home: Any = get_type_hints(RunConfig)[part] if part else RunConfig
    kind = get_type_hints(home)[field]
    default = getattr(getattr(RunConfig(), part) if part else RunConfig(), field)
    if name in OTHERS:
        return OTHERS[name]
    if get_origin(kind) is Literal:
        return tuple(value for value in get_args(kind) if value != default)
    if kind is bool:
        return (not default,)
    assert not isinstance(kind, types.NoneType)
    pytest.fail(f"add values of {name} other than its default to tests/settings_table.py")


def names() -> list[str]:
    """Names of all settings."""
    from train.config.knows import settings
    from train.config.run import RunConfig

    return [setting.name for setting in settings(RunConfig())]


def base(name: str = "") -> Any:
    """A tiny run (p = 11) with what the setting ``name`` needs."""
    from train.config.run import RunConfig
    from train.config.settings import override

    tiny = {"p": 11, "train_frac": 0.5, "d_model": 16, "n_heads": 2, "d_mlp": 24, "steps": 60}
    return override(RunConfig(), tiny | {"warmup_steps": 0} | (NEEDS.get(name, {}) if name != "task.group" else {}))


def with_value(name: str, value: Any) -> Any:
    """The tiny run with the setting at ``value``."""
    from train.config.settings import override

    return override(base(name), NEEDS.get(name, {}) | {_flat(name): value})


def cases() -> Iterator[tuple[str, Any]]:
    """Pairs of every setting and each of its other values."""
    for name in names():
        for value in values_of(name):
            yield name, value


def _flat(name: str) -> str:
    return name.rpartition(".")[2]
