"""Refusal of settings that have no effect in combination with the others, for new runs only, never for saved ones.

Defaults are never refused, and neither are limiting values (a grokfast_lambda of 0, a decay_to of 1), because sweeps
begin or end with such values.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from train.errors import UsageError

from .knows import settings


@dataclass(frozen=True)
class Rule:
    """The condition under which some fields of the config have an effect."""

    fields: tuple[str, ...]
    acts: Callable[[Any], bool]
    """Whether the fields have an effect in a run's config."""
    needs: str
    """The condition in words, for the error message."""


RULES: tuple[Rule, ...] = (
    Rule(
        ("n_heads", "d_head", "norm", "positions", "attention", "attn_rate"),
        lambda c: c.model.arch == "transformer",
        "arch transformer",
    ),
    Rule(
        ("init",),
        lambda c: c.model.arch == "transformer" or c.model.init != "zhong",
        "arch transformer (in an mlp it is init nanda)",
    ),
    Rule(
        ("outputs",),
        lambda c: c.task.d_vocab > c.task.shape.n_labels,
        "tokens that are no answers: a layout with '=' or 'op', or shared_vocabulary false",
    ),
    Rule(("outliers", "batch_size"), lambda c: c.task.n_train > 1, "two training rows or more"),
    Rule(("beta1", "beta2", "eps"), lambda c: c.optim.optimizer != "sgd", "optimizer adamw, adam or muon"),
    Rule(("momentum",), lambda c: c.optim.optimizer == "sgd", "optimizer sgd"),
    Rule(("muon_momentum",), lambda c: c.optim.optimizer == "muon", "optimizer muon"),
    Rule(("decay_towards",), lambda c: c.optim.weight_decay > 0, "weight_decay above 0"),
    Rule(("decay_to",), lambda c: c.optim.decay_steps is not None, "decay_steps"),
    Rule(
        ("grokfast_lambda", "grokfast_from"),
        lambda c: c.optim.grokfast is not None,
        "grokfast_alpha or grokfast_window",
    ),
    Rule(
        ("grokfast_alpha", "grokfast_window"),
        lambda c: c.optim.grokfast_from + (c.optim.grokfast_window or 1) <= c.schedule.steps,
        "an earlier grokfast_from, or more steps",
    ),
)
"""Rules for fields that do not act in every run; all other fields always act."""


def refuse_idle_settings(config: Any, only: Iterable[str] | None = None) -> None:
    """Refuse settings that have no effect in a run's config; ``only`` limits the check to the named fields.

    Raises:
        UsageError: a setting has no effect; the message names the first, its condition and its default.
    """
    changed = {s.name.rpartition(".")[2]: s for s in settings(config) if not s.is_default}
    asked = set(changed) if only is None else set(only)
    for rule in RULES:
        for name in rule.fields:
            if name in changed and name in asked and not rule.acts(config):
                setting = changed[name]
                back = "leave it out" + (
                    "" if setting.default is None else f" or give {setting.default!r}, its default"
                )
                raise UsageError(f"{name} = {setting.value!r} does nothing here: it needs {rule.needs}; {back}")
