"""Code that the readers of foreign layouts share: input and output types, and reading of tensors, tasks and splits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from train.algebra.operations import MAX_MODULUS
from train.config.run import RunConfig
from train.config.task import Split, TaskConfig
from train.errors import DataError, UsageError
from train.tasks.task import all_pairs_task, split_mask

from .names import is_buffer, short
from .unwrapping import Weights

NEVER_KNOWN = ("optim", "schedule", "model.init", "model.init_scale", "task.outliers")
"""Parts of a config that no file records in full; optimiser settings of a foreign config are not taken over."""


@dataclass(frozen=True)
class Given:
    """Facts about a model from flags and from a JSON file; None where a flag is not given."""

    op: str | None = None
    p: int | None = None
    group: str | None = None
    train_frac: float | None = None
    split: Split | None = None
    split_seed: int | None = None
    step: int | None = None
    tokens: str | None = None
    """The row of tokens that the model reads: see ``tokens``."""
    config: dict[str, Any] = field(default_factory=dict)
    """Contents of the JSON file; a layout looks up the names that it knows, and evaluates nothing."""


@dataclass(frozen=True)
class Imported:
    """An imported model under our names and conventions."""

    config: dict[str, Any]
    """The known fields of the config, nested as in ``RunConfig.to_dict``."""
    snapshots: dict[int, Weights]
    """Weights by step (updates done), under our names, float32."""
    is_train: Bool[Tensor, " rows"] | None
    """The split over all rows (a-major, in our order of elements); None where it is unknown."""
    unknown: tuple[str, ...]
    """Parts and fields of the config that neither files nor flags give."""
    notes: tuple[str, ...] = ()
    """What the import left out or changed, for ``run.json``."""
    knows_tokens: bool = True
    """Whether the layout fixes which tokens are the marks, and their order; otherwise losses decide: see ``tokens``."""


# ---- reading tensors -------------------------------------------------------------------------------


def take(weights: Mapping[str, Tensor], name: str, n_axes: int) -> Tensor:
    """The tensor of this name.

    Raises:
        DataError: the tensor is missing, does not have ``n_axes`` axes, or is empty.
    """
    if name not in weights:
        raise DataError(f"{name} is missing: the file is not of this layout, or not complete")
    tensor = weights[name]
    if tensor.ndim != n_axes or 0 in tensor.shape:
        raise DataError(f"{name} has shape {tuple(tensor.shape)}; in this layout it has {n_axes} axes")
    return tensor


def n_blocks(weights: Mapping[str, Tensor], prefix: str = "blocks.") -> int:
    """Number of blocks according to the names of tensors; ``take`` refuses the model where one is missing."""
    numbers = [name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)]
    return 1 + max((int(number) for number in numbers if number.isdecimal() and len(number) < 5), default=-1)


def split_heads(
    W_O: Float[Tensor, "d_model n_heads_d_head"], n_heads: int, name: str = "W_O"
) -> Float[Tensor, "n_heads d_head d_model"]:
    """An output matrix that acts on the concatenated heads, split by head."""
    if W_O.shape[1] % n_heads:
        raise DataError(f"{name} has shape {tuple(W_O.shape)}: {W_O.shape[1]} is not a multiple of {n_heads} heads")
    return rearrange(W_O, "d_model (head d_head) -> head d_head d_model", head=n_heads).contiguous()


def refuse_rest(weights: Mapping[str, Tensor], used: Callable[[str], bool] | set[str]) -> None:
    """Refuse tensors that were neither ``used`` nor are buffers."""
    is_used = used.__contains__ if isinstance(used, set) else used
    for name, tensor in weights.items():
        if not is_used(name) and not is_buffer(name):
            raise DataError(f"{name} {tuple(tensor.shape)} has no place in this layout")


def found_biases(weights: Mapping[str, Tensor]) -> str:
    """``ModelConfig.biases`` of a state dict: biases that are not all zero count as trained."""
    nonzero = {name.rpartition(".")[2] for name, t in weights.items() if t.any()}
    biases = {name for name in nonzero if name.startswith("b_")}
    return "none" if not biases else "mlp" if biases <= {"b_in", "b_out"} else "all"


def mlp_fields(ours: Weights, n_layers: int, act_fn: str, biases: str, outputs: str) -> dict[str, Any]:
    """Fields of our model config for an MLP of these weights, under our names."""
    return {
        "arch": "mlp",
        "n_layers": n_layers,
        "d_model": ours["embed.W_E"].shape[1],
        "d_mlp": ours["unembed.W_U"].shape[0],
        "attn_only": False,
        "act_fn": act_fn,
        "biases": biases,
        "outputs": outputs,
    }


# ---- the task --------------------------------------------------------------------------------------


def settle(name: str, flag: Any, in_file: Any) -> Any:
    """A value from a flag or from the file; None where neither has it.

    Raises:
        UsageError: both have it and they differ.
    """
    if flag is not None and in_file is not None and flag != in_file:
        conflict = f"--{name.replace('_', '-')} says {flag!r}, but the file says {short(in_file)}"
        raise UsageError(f"{conflict}: leave the flag out")
    return in_file if flag is None else flag


def make_config(
    given: Given, task: Mapping[str, Any], model: Mapping[str, Any], seed: int | None = None
) -> dict[str, Any]:
    """The known part of the config, checked.

    Args:
        given: facts from flags.
        task: op, p or group, layout, and other fields of the task that the file gives.
        model: fields of the model.
        seed: seed of the run; None where unknown.

    Raises:
        UsageError: no operation, or values that our config does not allow.
        DataError: the number of tokens makes p too small or too large.
    """
    if task.get("op") is None:
        raise UsageError("the file does not record the operation: give --op, such as --op add")
    names = ("train_frac", "split", "split_seed")
    known = dict(task) | {name: settle(name, getattr(given, name), task.get(name)) for name in names}
    known = {name: value for name, value in known.items() if value is not None}
    missing = [f"--{name.replace('_', '-')}" for name in names if name not in known]
    if missing and (given.split is not None or given.split_seed is not None):
        raise UsageError(
            f"a split needs all of --train-frac, --split and --split-seed: give {' and '.join(missing)} too"
        )
    if "group" in known:
        known["p"] = None
    elif given.p is None and isinstance(known.get("p"), int) and not 2 <= known["p"] <= MAX_MODULUS:
        raise DataError(f"the file makes p = {known['p']}; p must be from 2 to {MAX_MODULUS}")
    known = {"shared_vocabulary": True} | known
    config = {"task": known, "model": {"output_scale": 1.0} | dict(model)} | ({} if seed is None else {"seed": seed})
    checked(config)
    return config


def checked(config: dict[str, Any]) -> RunConfig:
    """The RunConfig of the nested fields ``config``.

    Raises:
        UsageError: a value is not allowed.
    """
    try:
        return RunConfig.from_dict(config)
    except ValueError as error:
        raise UsageError(str(error)) from error


def unknown_of(config: dict[str, Any]) -> tuple[str, ...]:
    """Parts and fields that a config made by ``make_config`` lacks."""
    task = [f"task.{name}" for name in ("train_frac", "split", "split_seed") if name not in config["task"]]
    return (*NEVER_KNOWN, *(() if "seed" in config else ("seed",)), *task)


def split_of(config: dict[str, Any], order: Int[Tensor, " n"] | None = None) -> Bool[Tensor, " rows"] | None:
    """The split that the config describes; None where a field of the split is missing.

    Args:
        config: nested fields, as ``make_config`` gives them.
        order: our number of each element in the order in which the source numbers them; None: the same order.
    """
    if not {"train_frac", "split", "split_seed"} <= set(config["task"]):
        return None
    task: TaskConfig = checked(config).task
    is_defined = all_pairs_task(task).is_defined
    theirs = is_defined if order is None else in_order(is_defined, order)
    assert task.split_seed is not None
    mask = split_mask(theirs, int(task.train_frac * int(theirs.sum())), task.split, task.split_seed)
    return mask if order is None else in_order(mask, order.argsort())


def in_order(rows: Bool[Tensor, " rows"], order: Int[Tensor, " n"]) -> Bool[Tensor, " rows"]:
    """Rows of all pairs (a-major) with elements reordered: the new pair (i, j) is the old (order[i], order[j])."""
    n = len(order)
    return rows.view(n, n)[order][:, order].reshape(-1)
