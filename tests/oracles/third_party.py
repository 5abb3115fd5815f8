"""Models that others trained and published, as runs: ``published_run(name, folder)``, and the values known of them.

The files are not this project's to pass on: ``GROKLENS_THIRD_PARTY`` names the folder that holds them.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "GROKLENS_THIRD_PARTY"
FIVE_CYCLE = [1, 2, 3, 4, 0]


@dataclass(frozen=True)
class Model:
    """A published file and what its authors say of it."""

    file: str
    task: dict[str, Any]
    model: dict[str, Any]
    split_seed: int | None
    """None where no split is known."""
    step: int
    generators: tuple[list[int], ...] = ()
    """Of the group, whose elements are in sympy's order."""


REPTHEORY = {"outputs": "answers", "biases": "none", "init": "transformerlens"}
MODELS = {
    "Nanda no_wd": Model("nanda_mod_addition_no_wd.pth", {"train_frac": 0.9, "split": "python"}, {}, 0, 5_000),
    "Nanda low_precision": Model(
        "nanda_low_precision_mod_addition.pth", {"train_frac": 0.3, "split": "python"}, {}, 1, 50_000
    ),
    "C113_T_seed1": Model("reptheory_C113_T_seed1.pt", {"train_frac": 0.3, "split": "torch"}, REPTHEORY, 1, 50_000),
    "S5_T_seed1": Model(
        "reptheory_S5_T_seed1.pt",
        {"op": "compose", "p": None, "group": "S5", "train_frac": 0.6, "split": "torch"},
        REPTHEORY,
        1,
        50_000,
        (FIVE_CYCLE, [1, 0, 2, 3, 4]),
    ),
    "A5_T_seed4": Model(
        "reptheory_A5_T_seed4.pt",
        {"op": "compose", "p": None, "group": "A5", "train_frac": 0.6, "split": "torch"},
        REPTHEORY,
        4,
        250_000,
        (FIVE_CYCLE, [0, 2, 1, 4, 3]),
    ),
    "Pizza A": Model(
        "pizza_model_a.pt",
        {"p": 59, "layout": "a b"},
        {"attention": "bidirectional", "attn_rate": 0.0, "outputs": "answers", "init": "zhong"},
        None,
        20_000,
    ),
}


def folder() -> Path | None:
    """The folder of the published files, None where it is not given."""
    given = os.environ.get(VARIABLE)
    return None if not given else Path(given)


def published_run(name: str, source: Path, root: Path):
    """The Run of a published model, written below ``root``."""
    import torch

    from interp import open_run
    from train.config import ModelConfig, RunConfig, TaskConfig
    from train.imported import write_imported
    from train.model import build_model
    from train.tasks import all_pairs_task, split_mask

    about = MODELS[name]
    config = RunConfig(task=TaskConfig(**about.task), model=ModelConfig(**about.model))
    found = torch.load(source / about.file, map_location="cpu", weights_only=True)
    found = dict(found.get("model", found))
    if found["embed.W_E"].shape[0] == config.model.d_model:
        found = from_nanda(found, config.model.n_heads)
    task, table, is_train = all_pairs_task(config.task), None, None
    if about.split_seed is not None:
        n_train = int(config.task.train_frac * len(task.pairs))
        is_train = split_mask(task.is_defined, n_train, config.task.split, about.split_seed)
    if about.generators:
        table = theirs_by_ours(config.task.group, about.generators)
        n = len(table)
        found["embed.W_E"] = torch.cat([found["embed.W_E"][table], found["embed.W_E"][n:]])
        found["unembed.W_U"] = found["unembed.W_U"][:, table]
        assert is_train is not None
        is_train = is_train.view(n, n)[table][:, table].flatten()
    ours = build_model(config).state_dict()
    weights = {key: found[key].contiguous() if key in found else torch.zeros_like(t) for key, t in ours.items()}
    assert {key: t.shape for key, t in weights.items()} == {key: t.shape for key, t in ours.items()}
    origin = {
        "source": about.file,
        "sha256": hashlib.sha256((source / about.file).read_bytes()).hexdigest(),
        "layout": "nanda" if not about.generators and name != "C113_T_seed1" else "transformerlens",
        "unknown": ["optim", "schedule", "seed"] + (["task.train_frac", "task.split"] if is_train is None else []),
    }
    known = {"task": about.task | {"split_seed": about.split_seed}, "model": about.model}
    return open_run(write_imported(root / about.file, known, origin, {about.step: weights}, is_train).path)


def from_nanda(w: dict[str, Any], n_heads: int) -> dict[str, Any]:
    """TransformerLens' names and shapes, of weights as Nanda et al.'s code stores them: outputs first."""
    at, mlp = "blocks.0.attn.", "blocks.0.mlp."
    d_model = w[at + "W_O"].shape[0]
    return {
        "embed.W_E": w["embed.W_E"].T,
        "pos_embed.W_pos": w["pos_embed.W_pos"],
        **{f"{at}W_{x}": w[f"{at}W_{x}"].transpose(1, 2) for x in "QKV"},
        at + "W_O": w[at + "W_O"].T.reshape(n_heads, -1, d_model),
        mlp + "W_in": w[mlp + "W_in"].T,
        mlp + "W_out": w[mlp + "W_out"].T,
        mlp + "b_in": w[mlp + "b_in"],
        mlp + "b_out": w[mlp + "b_out"],
        "unembed.W_U": w["unembed.W_U"],
    }


def theirs_by_ours(name: str | None, generators: tuple[list[int], ...]):
    """Index in sympy's list of the elements, for each of ours."""
    import torch
    from sympy.combinatorics import Permutation, PermutationGroup

    from train.groups import group

    assert name is not None
    made = PermutationGroup([Permutation(g) for g in generators])
    elements: list[Any] = list(made.generate_schreier_sims())
    place = {"".join(map(str, g.array_form)): i for i, g in enumerate(elements)}
    return torch.tensor([place[element] for element in group(name).elements])
