"""What the readers of foreign layouts share: what is given and what comes out, unwrapping, splits, the last check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from train.config import RunConfig, Split, TaskConfig
from train.errors import DataError, UsageError
from train.operations import MAX_MODULUS
from train.settings import from_json
from train.tasks import all_pairs_task, split_mask

Weights = dict[str, Tensor]
"""Tensors by name."""
WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which a checkpoint keeps its state dict."""
SERIES = {"state_dicts": "epochs", "model_checkpoints": "checkpoint_epochs", "checkpoints": "checkpoint_epochs"}
"""Keys of a list of state dicts, and of the epochs it was taken at."""
BUFFERS = ("mask", "IGNORE", "self_attn_mask")
"""Last parts of names that hold no weights."""
NEVER_KNOWN = ("optim", "schedule", "model.init")
"""What no file tells in full; settings of the optimiser that a config holds are not taken over."""


@dataclass(frozen=True)
class Given:
    """What flags and a JSON file say of a model."""

    op: str | None = None
    p: int | None = None
    group: str | None = None
    train_frac: float | None = None
    split: Split | None = None
    split_seed: int | None = None
    step: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """Contents of the JSON file; a layout looks up the names it knows, and evaluates nothing."""


@dataclass(frozen=True)
class Imported:
    """A model in our own terms."""

    config: dict[str, Any]
    """The fields that are known, nested as in ``RunConfig.to_json``."""
    snapshots: dict[int, Weights]
    """Weights by step (updates done), under our names, float32."""
    is_train: Bool[Tensor, " rows"] | None
    """The split, over all rows a-major in our order of elements; None where it is unknown."""
    unknown: tuple[str, ...]
    """Parts and fields of the config that nothing tells."""
    notes: tuple[str, ...] = ()
    """What was left out or changed."""


# ---- unwrapping ------------------------------------------------------------------------------------


def state_dicts(raw: Any, given: Given) -> dict[int, Weights]:
    """State dicts by step (updates done).

    Accepted are a state dict, a checkpoint that holds one, a checkpoint that holds a list of them with their
    epochs, and {number in a file's name: what it holds}. Epochs count from 0 in the published code and a model is
    saved after its epoch's full-batch update, whose loss was listed before it: step = epoch + 1, or the number of
    listed losses where there is no epoch (the file of Nanda et al. that stops at epoch 4999 lists 5000 losses, has an
    optimiser at update 5000, and its weights have the loss that would be listed next). Where as many losses are listed
    as the epoch says, as in the last file that their code writes, the epoch counts updates already. A number in a
    file's name, and Lightning's global_step, are taken as steps.

    Raises:
        DataError: nothing of that kind, or tensors that are not real numbers.
        UsageError: a step is given although the file tells it.
    """
    steps = list(_unwrapped(raw))
    told = [step for step, _ in steps if step is not None]
    if given.step is not None and told:
        raise UsageError(f"got --step {given.step}, but the file says its steps, such as {told[0]}: leave --step out")
    found = {
        (given.step or 0) if step is None else step: {name: _real(name, t) for name, t in weights.items()}
        for step, weights in steps
    }
    if len(found) < len(steps):
        raise DataError(f"{len(steps)} snapshots have {len(found)} different steps: each needs its own")
    return dict(sorted(found.items()))


def _unwrapped(raw: Any) -> list[tuple[int | None, Mapping[str, Any]]]:
    """Pairs of step (None where nothing tells it) and state dict."""
    if not isinstance(raw, Mapping) or not raw:
        raise DataError(f"it holds {_kind(raw)}; a state dict, or a dictionary with one, is needed")
    if all(isinstance(key, int) for key in raw):
        pairs = [(number, _unwrapped(each)) for number, each in raw.items()]
        return [(number if step is None else step, w) for number, inner in pairs for step, w in inner]
    for key, epochs in SERIES.items():
        if key in raw:
            return _series(raw, key, epochs)
    for key in WRAPPERS:
        if isinstance(raw.get(key), Mapping):
            return [(own_step(raw), _state_dict(raw[key]))]
    return [(None, _state_dict(raw))]


def _series(raw: Mapping[str, Any], key: str, epochs: str) -> list[tuple[int | None, Mapping[str, Any]]]:
    models, numbers = raw[key], raw.get(epochs)
    numbers = numbers.tolist() if isinstance(numbers, Tensor) else numbers
    if not isinstance(models, list | tuple) or not isinstance(numbers, list | tuple | range) or not models:
        raise DataError(f"{key} and {epochs} must be lists, the models and the epochs they were saved at")
    if len(models) != len(numbers) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise DataError(f"{key} has {len(models)} models, but {epochs} has not one whole number for each")
    behind = 0 if _n_losses(raw) == max(numbers) else 1
    return [(n + behind, _state_dict(model)) for n, model in zip(numbers, models, strict=True)]


def own_step(raw: Any) -> int | None:
    """Updates done, as a checkpoint of one model says; None where nothing does."""
    if not isinstance(raw, Mapping) or not any(isinstance(raw.get(key), Mapping) for key in WRAPPERS):
        return None
    step, epoch, n_losses = raw.get("global_step"), raw.get("epoch"), _n_losses(raw)
    if isinstance(step, int) and step >= 0:
        return step
    if isinstance(epoch, int) and epoch >= 0:
        return epoch if epoch == n_losses else epoch + 1
    return n_losses


def _n_losses(raw: Mapping[str, Any]) -> int | None:
    """How many losses of training a checkpoint lists; the loss is listed before each update."""
    losses = raw.get("train_losses")
    return len(losses) if isinstance(losses, list | tuple) and losses else None


def tells_step(raw: Any) -> bool:
    """Whether a file, or the name of each file of a folder, says how many updates were done."""
    return all(step is not None for step, _ in _unwrapped(raw))


def _state_dict(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping) or not any(isinstance(value, Tensor) for value in raw.values()):
        raise DataError(f"it holds {_kind(raw)} where a state dict, names with tensors, is needed")
    return raw


def _kind(raw: Any) -> str:
    if isinstance(raw, Mapping):
        return f"a dictionary with {', '.join(map(repr, list(raw)[:4])) or 'nothing'}"
    return f"a {type(raw).__name__}"


def _real(name: Any, tensor: Any) -> Tensor:
    """``tensor`` as float32 of its own; buffers of any type pass."""
    if not isinstance(name, str) or not isinstance(tensor, Tensor):
        raise DataError(f"{name!r} is {_kind(tensor)}: a state dict holds tensors alone")
    if is_buffer(name):
        return tensor
    if tensor.layout != torch.strided or not tensor.is_floating_point():
        raise DataError(f"{name} holds {tensor.dtype} ({tensor.layout}); weights are plain floating-point tensors")
    return tensor.detach().to(torch.float32).contiguous().clone()


def is_buffer(name: str) -> bool:
    """Whether a name is that of a buffer, such as an attention mask."""
    return name.rpartition(".")[2] in BUFFERS


# ---- reading tensors -------------------------------------------------------------------------------


def take(weights: Mapping[str, Tensor], name: str, n_axes: int) -> Tensor:
    """The tensor called ``name``.

    Raises:
        DataError: it is missing, or has not ``n_axes`` axes, or one of size 0.
    """
    if name not in weights:
        raise DataError(f"{name} is missing: the file is not of this layout, or not complete")
    tensor = weights[name]
    if tensor.ndim != n_axes or 0 in tensor.shape:
        raise DataError(f"{name} has shape {tuple(tensor.shape)}; in this layout it has {n_axes} axes")
    return tensor


def n_blocks(weights: Mapping[str, Tensor], prefix: str = "blocks.") -> int:
    """Number of blocks that names speak of; ``take`` finds out where one is missing."""
    numbers = [name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)]
    return 1 + max((int(number) for number in numbers if number.isdecimal() and len(number) < 5), default=-1)


def split_heads(
    W_O: Float[Tensor, "d_model n_heads_d_head"], n_heads: int, name: str = "W_O"
) -> Float[Tensor, "n_heads d_head d_model"]:
    """The output matrix that acts on heads lying side by side, by head."""
    if W_O.shape[1] % n_heads:
        raise DataError(f"{name} has shape {tuple(W_O.shape)}: {W_O.shape[1]} is no multiple of {n_heads} heads")
    return rearrange(W_O, "d_model (head d_head) -> head d_head d_model", head=n_heads).contiguous()


def refuse_rest(weights: Mapping[str, Tensor], used: Callable[[str], bool] | set[str]) -> None:
    """Refuse tensors that were not ``used`` and are no buffers."""
    is_used = used.__contains__ if isinstance(used, set) else used
    for name, tensor in weights.items():
        if not is_used(name) and not is_buffer(name):
            raise DataError(f"{name} {tuple(tensor.shape)} has no place in this layout")


def found_biases(weights: Mapping[str, Tensor]) -> str:
    """``ModelConfig.biases`` as the tensors of all snapshots show it: trained are those that are not zero."""
    last = {name.rpartition(".")[2] for name, t in weights.items() if t.any()}
    biases = {name for name in last if name.startswith("b_")}
    return "none" if not biases else "mlp" if biases <= {"b_in", "b_out"} else "all"


def mlp_fields(ours: Weights, n_layers: int, act_fn: str, biases: str, outputs: str) -> dict[str, Any]:
    """Fields of our model config for an MLP of these weights, under our names."""
    return {
        "arch": "mlp",
        "n_layers": n_layers,
        "d_model": ours["embed.W_E"].shape[1],
        "d_mlp": ours["unembed.W_U"].shape[0],
        "act_fn": act_fn,
        "biases": biases,
        "outputs": outputs,
    }


# ---- the task --------------------------------------------------------------------------------------


def settle(name: str, flag: Any, told: Any) -> Any:
    """A value from a flag or from the file, whichever says it.

    Raises:
        UsageError: both do, and differ.
    """
    if flag is not None and told is not None and flag != told:
        raise UsageError(f"--{name.replace('_', '-')} says {flag!r}, but the file says {told!r}: leave the flag out")
    return told if flag is None else flag


def make_config(
    given: Given, task: Mapping[str, Any], model: Mapping[str, Any], seed: int | None = None
) -> dict[str, Any]:
    """The config of what is known, checked. ``task`` has op, p or group, layout and whatever the file tells.

    Raises:
        UsageError: no operation, or values that our config does not allow.
        DataError: the number of tokens makes p too small or too large.
    """
    if task.get("op") is None:
        raise UsageError("the file does not say which operation was learned: give --op, such as --op add")
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
    config = {"task": known, "model": dict(model)} | ({} if seed is None else {"seed": seed})
    checked(config)
    return config


def checked(config: dict[str, Any]) -> RunConfig:
    """The RunConfig of ``config``; UsageError where it does not allow a value."""
    try:
        return from_json(config)
    except ValueError as error:
        raise UsageError(str(error)) from error


def unknown_of(config: dict[str, Any]) -> tuple[str, ...]:
    """What a config made by ``make_config`` does not say."""
    task = [f"task.{name}" for name in ("train_frac", "split", "split_seed") if name not in config["task"]]
    return (*NEVER_KNOWN, *(() if "seed" in config else ("seed",)), *task)


def split_of(config: dict[str, Any], order: Int[Tensor, " n"] | None = None) -> Bool[Tensor, " rows"] | None:
    """The split that the config describes, None where it does not say all of it.

    ``order[i]`` is our number of the element that is drawn as i-th; the same where not given.
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
    """Rows of all pairs (a-major) with the elements in another order: pair (i, j) is what (order[i], order[j]) was."""
    n = len(order)
    return rows.view(n, n)[order][:, order].reshape(-1)
