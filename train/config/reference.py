"""The frozen table of reference values, relative to which a run's identity is computed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

REFERENCE: Mapping[str, Any] = MappingProxyType(
    {
        "task.op": "add",
        "task.p": 113,
        "task.group": None,
        "task.train_frac": 0.3,
        "task.split": "stream",
        "task.split_seed": None,
        "task.layout": "a b =",
        "task.shared_vocabulary": True,
        "task.outliers": 0,
        "model.arch": "transformer",
        "model.n_layers": 1,
        "model.d_model": 128,
        "model.n_heads": 4,
        "model.d_head": None,
        "model.d_mlp": None,
        "model.attn_only": False,
        "model.act_fn": "relu",
        "model.norm": "none",
        "model.positions": "learned",
        "model.attention": "causal",
        "model.attn_rate": 1.0,
        "model.biases": "mlp",
        "model.outputs": "tokens",
        "model.init": "nanda",
        "model.init_scale": 1.0,
        "model.output_scale": 1.0,
        "optim.optimizer": "adamw",
        "optim.lr": 0.001,
        "optim.weight_decay": 1.0,
        "optim.decay_towards": "origin",
        "optim.beta1": 0.9,
        "optim.beta2": 0.98,
        "optim.eps": 1e-08,
        "optim.momentum": 0.0,
        "optim.warmup_steps": 10,
        "optim.decay_steps": None,
        "optim.decay_to": 0.1,
        "optim.batch_size": None,
        "optim.precision": "float32",
        "optim.loss": "softmax",
        "optim.loss_precision": "float64",
        "optim.update_noise": 0.0,
        "optim.weight_noise": 0.0,
        "optim.dropout": 0.0,
        "optim.muon_momentum": 0.95,
        "optim.orthogonal_gradient": False,
        "optim.grokfast_alpha": None,
        "optim.grokfast_window": None,
        "optim.grokfast_lambda": 2.0,
        "optim.grokfast_from": 0,
        "optim.norm_clamp": None,
        "schedule.steps": 15_000,
        "schedule.per_decade": 16,
        "seed": 0,
    }
)
"""Reference values by setting: a setting at its reference value is absent from a run's identity and changes nothing.

Each entry is the default at the time when its setting was added. Entries never change, although defaults may; so no run
is renamed and no two runs share an id. A setting that is not listed is newer than the table, and its default is its
reference value: add an entry before changing such a default. ``make test-slow`` requires an entry for every setting.
"""


def references_in(part: str) -> dict[str, Any]:
    """Reference values of the fields of a part of the config ("task", "model", ...), by the fields' own names."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in REFERENCE.items() if name.startswith(prefix)}


def reference_of(name: str, default: Any) -> Any:
    """The reference value of a setting, such as ``model.act_fn``; ``default`` if the table has no entry."""
    return REFERENCE.get(name, default)
