"""No setting is ignored: a value other than the default changes something observable, or is refused by name."""

import dataclasses
import hashlib
import itertools
import json
from typing import Literal, get_args, get_origin

import pytest
import torch

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"p": 5, "train_frac": 0.5, "d_model": 8, "n_heads": 2, "d_mlp": 12, "steps": 6, "warmup_steps": 0, "lr": 0.01}
GROUP = {name: value for name, value in TINY.items() if name != "p"} | {"op": "compose", "group": "D2"}
MLP = {name: value for name, value in TINY.items() if name != "n_heads"} | {"arch": "mlp", "layout": "a b"}
CONTEXTS = {
    "transformer": TINY,
    "group": GROUP,
    "mlp": MLP,
    "mlp, operands apart": MLP | {"shared_vocabulary": False},
    "without marks": TINY | {"layout": "a b"},
    "sgd": TINY | {"optimizer": "sgd"},
    "adam": TINY | {"optimizer": "adam"},
    "muon": TINY | {"optimizer": "muon"},
    "no decay": TINY | {"weight_decay": 0.0},
    "falling rate": TINY | {"decay_steps": 4},
    "grokfast": TINY | {"grokfast_alpha": 0.5},
    "grokfast's window": TINY | {"grokfast_window": 3},
    "late grokfast": TINY | {"grokfast_from": 6},
    "one training row": TINY | {"train_frac": 0.05},
}
ONLY = {name: {"optim"} for name in ("sgd", "adam", "muon", "no decay", "falling rate", "grokfast")}
ONLY |= {"group": {"task"}, "without marks": {"task", "model"}, "mlp, operands apart": {"model"}}
ONLY |= {"grokfast's window": {"optim"}, "late grokfast": {"optim"}, "one training row": {"optim", "task"}}
"""Parts of the config that are gone over in a context, where not all are."""
ONE_THING = {("no decay", "optimizer", "adam"): "Adam and AdamW are one algorithm then, and power-fig1 says Adam"}
"""Values that are implemented and yet change nothing observable."""
NUMBERS = {
    "op": ["sub", "conjugate"],
    "p": [7],
    "group": ["S3"],
    "train_frac": [0.7],
    "split_seed": [5],
    "outliers": [6],
    "n_layers": [2],
    "d_model": [16],
    "n_heads": [4],
    "d_head": [3],
    "d_mlp": [20],
    "attn_rate": [0.5],
    "init_scale": [2.0],
    "output_scale": [0.5],
    "lr": [0.02],
    "weight_decay": [3.0],
    "beta1": [0.5],
    "beta2": [0.9],
    "eps": [1e-2],
    "momentum": [0.9],
    "warmup_steps": [3],
    "decay_steps": [5],
    "decay_to": [0.5],
    "batch_size": [1, "power"],
    "update_noise": [0.5],
    "weight_noise": [0.01],
    "dropout": [0.5],
    "muon_momentum": [0.5],
    "grokfast_alpha": [0.9],
    "grokfast_window": [2],
    "grokfast_lambda": [5.0],
    "grokfast_from": [2],
    "norm_clamp": [1.5],
    "steps": [5],
    "per_decade": [2],
    "seed": [1],
}
"""Other values of the fields that hold numbers or names; those of choices come from their annotations."""


def every_field(parts=("task", "model", "optim", "schedule", "seed")):
    """The config fields of these parts of a run."""
    from train.config.run import RunConfig

    whole = RunConfig()
    for f in dataclasses.fields(whole):
        inner = getattr(whole, f.name)
        if f.name in parts:
            yield from dataclasses.fields(inner) if dataclasses.is_dataclass(inner) else [f]


def other_values(field):
    """Values of a field that are not its default: all choices, or those of ``NUMBERS``."""
    if field.type is bool:
        return [not field.default]
    if get_origin(field.type) is Literal:
        return [value for value in get_args(field.type) if value != field.default]
    assert field.name in NUMBERS, f"say in NUMBERS another value of the new field {field.name}"
    return NUMBERS[field.name]


def seen_of(config) -> str:
    """A digest of all effects of a config: its task, model outputs, training and saved steps."""
    from train.engine.schedule import log_grid
    from train.engine.stack import Stack
    from train.model import build_model
    from train.tasks.task import make_task

    task, digest = make_task(config), hashlib.sha256()
    stack = Stack([config], torch.device("cpu"))
    seen = [task.tokens, task.labels, task.is_train, build_model(config)(task.tokens)]
    seen += [stack.update() for _ in range(config.schedule.steps)]
    seen += [tensor for _, tensor in sorted(stack.model_state(0).items())]
    for tensor in seen:
        digest.update(str(tuple(tensor.shape)).encode() + tensor.detach().contiguous().numpy().tobytes())
    digest.update(str(log_grid(config.schedule.per_decade, config.schedule.steps)).encode())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def seen_in_context():
    from train.config.run import RunConfig
    from train.config.settings import replaced

    configs = {name: replaced(RunConfig(), fields) for name, fields in CONTEXTS.items()}
    return configs, {name: seen_of(config) for name, config in configs.items()}


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_value_is_seen_or_refused(seen_in_context, context):
    """A value is refused exactly where it changes nothing; impossible values are refused by the config itself."""
    from train.config.idle import refuse_idle_settings
    from train.config.settings import replaced
    from train.errors import UsageError

    configs, seen = seen_in_context
    base, wrong, tried = configs[context], [], 0
    parts = [part for part in base.to_dict().values() if isinstance(part, dict)]
    flat = {"seed": base.seed} | {name: value for part in parts for name, value in part.items()}
    for field in every_field(ONLY.get(context, {"task", "model", "optim", "schedule", "seed"})):
        for value in other_values(field):
            if value == flat[field.name] or (context, field.name, value) in ONE_THING:
                continue
            try:
                config = replaced(base, {field.name: value})
                looks = seen_of(config)
            except (UsageError, ValueError) as error:
                assert str(error)
                continue
            tried += 1
            refusal = ""
            try:
                refuse_idle_settings(config, [field.name])
            except UsageError as error:
                refusal = str(error)
                assert refusal.startswith(f"{field.name} = {value!r} does nothing here: it needs "), refusal
            if (looks == seen[context]) != bool(refusal):
                wrong.append((field.name, value, refusal or "changes nothing and is not refused"))
    assert not wrong
    assert tried > 8, "the control: most values can be made"


def test_the_control_an_ignored_field_is_noticed(seen_in_context):
    """A norm changes nothing of an mlp and something of a transformer, so that a missing rule is noticed."""
    from train.config.settings import replaced

    configs, seen = seen_in_context
    assert seen_of(replaced(configs["mlp"], {"norm": "pre"})) == seen["mlp"]
    assert seen_of(replaced(configs["transformer"], {"norm": "pre"})) != seen["transformer"]


def test_presets_and_defaults_are_never_refused():
    from train.config.idle import refuse_idle_settings
    from train.config.presets import PRESETS
    from train.config.run import RunConfig

    refuse_idle_settings(RunConfig())
    for preset in PRESETS.values():
        refuse_idle_settings(preset.config)


def test_rules_name_fields_that_there_are():
    from train.config.idle import RULES

    names = {field.name for field in every_field()}
    assert set(itertools.chain.from_iterable(rule.fields for rule in RULES)) <= names


def test_old_runs_with_idle_settings_are_read_and_new_ones_are_not_asked_for():
    from train.config.run import RunConfig
    from train.config.settings import override, replaced
    from train.errors import UsageError

    idle = replaced(RunConfig(), MLP | {"norm": "pre"})
    assert RunConfig.from_dict(json.loads(json.dumps(idle.to_dict()))) == idle
    assert override(idle, {"steps": 9}).schedule.steps == 9, "only what is given is looked at"
    with pytest.raises(UsageError, match="norm = 'pre' does nothing here: it needs arch transformer"):
        override(RunConfig(), MLP | {"norm": "pre"})
