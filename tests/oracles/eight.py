"""Runs about which little can be said, to check that sentences claim no more than the data show. Each takes no training
or a second of it: ``eight_runs(root)`` gives open runs by name, with "grokked" as the control.
"""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from .handmade import handmade_run
from .runs import SHAPES, random_run, saved

ORIGIN = {
    "source": "stranger.pt",
    "sha256": "ab" * 32,
    "layout": "nanda",
    "unknown": ["optim", "schedule", "seed", "step", "task.train_frac", "task.split", "task.split_seed"],
}
NAMES = ("grokked", "never", "memorising", "one_snapshot", "unfinished", "s5", "div_or_sub", "mlp", "imported")
"""Names of the runs."""
P, KEYS = 23, (3, 5, 9)
LEARNT_AT = 100
"""Step of the log at which the control first answers its test rows; it answers its training rows from step 10."""


def eight_runs(root: Path) -> dict[str, Any]:
    """Open runs by name."""
    return {
        "grokked": grokked(root / "grokked"),
        "never": logged(random_run(root / "never", p=11, scale=0.3), train=(0.1, 0.2), test=(0.1, 0.1)),
        "memorising": memorising(root / "memorising"),
        "one_snapshot": random_run(root / "one", steps=(10,), **SHAPES["add"]),
        "unfinished": unfinished(root / "unfinished"),
        "s5": random_run(root / "s5", op="compose", group="S5", d_model=8, d_mlp=8, outputs="answers"),
        "div_or_sub": random_run(root / "div_or_sub", op="div_or_sub", p=7),
        "mlp": random_run(root / "mlp", **SHAPES["mlp"]),
        "imported": imported(root / "imported"),
    }


def grokked(root: Path) -> Any:
    """The hand-made pizza, with a log in which test accuracy follows training accuracy late."""
    from interp import open_run
    from train.storage.store import RunStore

    path = handmade_run(root, P, KEYS)
    rows = [{**row, "test_acc": row["test_acc"] if row["step"] >= LEARNT_AT else 0.0} for row in _rows(path)]
    (path / "log.jsonl").unlink()
    written(RunStore.open(path), rows)
    return open_run(path)


def written(store: Any, rows: list[dict[str, Any]]) -> None:
    """Append log rows to a finished run, and write DONE again, because DONE holds the log's digest."""
    (store.path / "DONE").unlink()
    store.append_log(rows)
    store.mark_done(max(store.steps))


def memorising(root: Path) -> Any:
    """A lookup table that answers its training rows; each test row gets the answer after the right one."""
    run = lookup(root, shift=1)
    return logged(run, train=(run[0].accuracy("train"), 1.0), test=(run[0].accuracy("test"), 0.0))


def lookup(root: Path, shift: int, op: str = "add", p: int = 7) -> Any:
    """An MLP with a neuron for every pair, whose test rows get the answer ``shift`` after the right one.

    W_E is one-hot, so that neuron (a, b), relu(e_a + e_b - 1), fires on its own pair alone. At step 0 all logits
    are zero.
    """
    from train.config.model import ModelConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig
    from train.model import build_model
    from train.tasks.task import make_task

    config = RunConfig(
        task=TaskConfig(op=op, p=p, train_frac=0.5, split="stream", layout="a b"),
        model=ModelConfig(arch="mlp", d_model=p, d_mlp=p * p, outputs="answers"),
        schedule=ScheduleConfig(steps=10),
    )
    task = make_task(config)
    assert task.is_train is not None
    answers = (task.labels[:, 0] + shift * (~task.is_train).long()) % p
    weights = {name: torch.zeros_like(tensor) for name, tensor in build_model(config).state_dict().items()}
    weights["embed.W_E"][:p] = torch.eye(p)
    W_in, pair = weights["blocks.0.mlp.W_in"], torch.arange(p * p)
    W_in[task.pairs[:, 0], pair] = 1.0
    W_in[p + task.pairs[:, 1], pair] = 1.0
    weights["blocks.0.mlp.b_in"] -= 1.0
    silent = {name: tensor.clone() for name, tensor in weights.items()}
    weights["unembed.W_U"][pair, answers] = 20.0
    return saved(root, config, {0: silent, 10: weights})


def unfinished(root: Path) -> Any:
    """A run of 2 updates, whose config asks for 100."""
    from interp import open_run
    from train.config.model import ModelConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig
    from train.engine.loop import train
    from train.storage.store import RunStore

    config = RunConfig(
        task=TaskConfig(p=11, train_frac=0.5, split="stream"),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=32),
        schedule=ScheduleConfig(steps=2),
    )
    root.mkdir(parents=True)
    store = RunStore.create(root, config)
    train(config, store, torch.device("cpu"))
    run = open_run(store.path)
    run.config = dataclasses.replace(config, schedule=ScheduleConfig(steps=100))
    return run


def imported(root: Path) -> Any:
    """An imported run: one snapshot, an unknown split, and a log of losses without accuracies."""
    from interp import open_run
    from train.storage.imported import write_imported

    run = random_run(root / "source", **SHAPES["add"])
    config = run.config.to_dict()
    known = {"task": {n: v for n, v in config["task"].items() if "split" not in n and n != "train_frac"}}
    path = root / "stranger"
    log = [{"step": s, "train_loss": 2.0 - s / 20, "test_loss": 2.5} for s in (0, 10, 20)]
    write_imported(path, {**known, "model": config["model"]}, ORIGIN, {0: run.weights(run.last.step)}, None, log)
    return open_run(path)


def logged(run: Any, train: tuple[float, ...], test: tuple[float, ...]) -> Any:
    """The run with these accuracies logged at its snapshots; the losses are computed from its weights."""
    from interp import open_run
    from train.storage.store import RunStore

    losses = {name: [run[step].loss(name) for step in run.steps] for name in ("train", "test")}
    columns = {"train_loss": losses["train"], "test_loss": losses["test"], "train_acc": train, "test_acc": test}
    rows = [
        {"step": step, "wall_s": float(i), **{name: float(values[i]) for name, values in columns.items()}}
        for i, step in enumerate(run.steps)
    ]
    written(RunStore.open(run.path), rows)
    return open_run(run.path)


def _rows(path: Path) -> list[dict[str, Any]]:
    from train.storage.store import RunStore

    return RunStore.open(path).read_log()
