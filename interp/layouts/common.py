"""What all layouts need: reading files without running anything of theirs, checked tensors, the split."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from jaxtyping import Bool
from torch import Tensor

from train.config import Split
from train.errors import DataError, UsageError
from train.model import build_model
from train.settings import from_json
from train.tasks import all_pairs_task, split_mask

Weights = Mapping[str, Tensor]
BUFFERS = ("mask", "IGNORE")
"""Last parts of names that hold no weights."""
PLAIN = (dict, list, tuple, str, int, float, bool, type(None), Tensor)


@dataclass(frozen=True)
class Given:
    """What the flags and the accompanying JSON say; None where they do not."""

    op: str | None = None
    p: int | None = None
    group: str | None = None
    train_frac: float | None = None
    split: Split | None = None
    split_seed: int | None = None
    step: int | None = None
    config: dict[str, Any] = field(default_factory=dict)

    def task(self, p: int | None = None, op: str = "add") -> dict[str, Any]:
        """The known fields of TaskConfig: flags first, then what the file tells."""
        structure = {"p": None, "group": self.group} if self.group is not None else {"p": self.p or p}
        return {"op": self.op or ("compose" if self.group is not None else op), **structure}

    def notes(self, *more: str) -> tuple[str, ...]:
        """What the reader should know of the import."""
        guessed = "The operation was not given: it is taken to be a + b."
        return (*([guessed] if self.op is None and self.group is None else []), *more)


@dataclass(frozen=True)
class Imported:
    """A model in our own terms, as ``train.imported.write_imported`` wants it."""

    config: dict[str, Any]
    """Known fields, nested as ``RunConfig.to_json`` has them."""
    snapshots: dict[int, dict[str, Tensor]]
    is_train: Bool[Tensor, " rows"] | None
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """What of the config is not known."""
        task = [name for name in ("train_frac", "split", "split_seed") if name not in self.config["task"]]
        seed = [] if "seed" in self.config else ["seed"]
        return ("optim", "schedule", *seed, *(f"task.{name}" for name in task))


# ---- files -----------------------------------------------------------------------------------------


def load_file(path: Path) -> Any:
    """Tensors, numbers, lists and dictionaries of a file; of a folder, {"files": {step: contents}}.

    Nothing in the file is run: what is more than that is refused.

    Raises:
        UsageError: there is no such file.
        DataError: the file holds something else, or cannot be read.
    """
    if path.is_dir():
        files = {
            step_of(file): file for file in sorted(path.iterdir()) if file.suffix in (".pt", ".pth", ".safetensors")
        }
        if not files:
            raise UsageError(f"{path} holds no .pt, .pth or .safetensors file")
        return {"files": {step: load_file(files[step]) for step in sorted(files)}}
    if not path.is_file():
        raise UsageError(f"{path} does not exist: give a file of weights, or a folder with one file per step")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(path.read_bytes())
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, safetensors.SafetensorError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)}") from error
    except Exception as error:  # what torch refuses to build
        raise DataError(
            f"{path} needs more than tensors, numbers, lists and dictionaries, and is not loaded: {_first_line(error)}"
        ) from error


def step_of(path: Path) -> int:
    """The last number in a file's name.

    Raises:
        DataError: there is none.
    """
    numbers = re.findall(r"\d+", path.stem)
    if not numbers:
        raise DataError(f"{path} has no number in its name: files of a folder are named by their step")
    return int(numbers[-1])


def snapshots_of(raw: Any, given: Given, step: int | None = None) -> dict[int, Weights]:
    """State dicts by step, from the ways in which they are wrapped.

    A bare state dict, or one under "model" or "state_dict"; several under "state_dicts" with "epochs" (Nanda's full
    run), under "model_checkpoints" with "checkpoint_epochs" (TransformerLens' demo), or of a folder's files. Epochs
    of lists are taken as steps. A single one stands at the step given; else at ``step``; else after as many updates
    as there are training losses; else after epoch + 1; else at 0.

    Raises:
        DataError: there is no state dict.
    """
    if not isinstance(raw, Mapping):
        raise DataError(f"the file holds a {type(raw).__name__}, not a state dict")
    if "files" in raw:
        return {at: only(snapshots_of(inner, Given())) for at, inner in raw["files"].items()}
    for many, epochs in (("state_dicts", "epochs"), ("model_checkpoints", "checkpoint_epochs")):
        if many in raw:
            return {
                int(at): state(found)
                for at, found in zip(raw.get(epochs, range(len(raw[many]))), raw[many], strict=False)
            }
    found = next((raw[name] for name in ("model", "state_dict") if isinstance(raw.get(name), Mapping)), raw)
    losses = raw.get("train_losses")
    told = (
        len(losses) if isinstance(losses, list) else int(raw["epoch"]) + 1 if isinstance(raw.get("epoch"), int) else 0
    )
    at = next(value for value in (given.step, step, told) if value is not None)
    return {at: state(found)}


def only(found: dict[int, Weights]) -> Weights:
    """The one state dict of a file."""
    if len(found) != 1:
        raise DataError(f"a file of the folder holds {len(found)} snapshots: import it by itself")
    return next(iter(found.values()))


def state(found: Any) -> Weights:
    """A state dict without buffers.

    Raises:
        DataError: it is none, or holds a value that is not finite.
    """
    if not isinstance(found, Mapping) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise DataError("the file holds no state dict: names and tensors")
    weights = {name: t for name, t in found.items() if name.rpartition(".")[2] not in BUFFERS}
    for name, tensor in weights.items():
        if not tensor.double().isfinite().all():
            raise DataError(f"{name} holds values that are not finite")
    return weights


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


# ---- tensors ---------------------------------------------------------------------------------------


def need(weights: Weights, name: str, n_axes: int) -> Tensor:
    """A tensor by name.

    Raises:
        DataError: it is missing, or has another number of axes.
    """
    if name not in weights:
        raise DataError(f"the file has no {name}: it is not of this layout, or not complete")
    if weights[name].ndim != n_axes:
        raise DataError(f"{name} has shape {tuple(weights[name].shape)}; {n_axes} axes were expected")
    return weights[name]


def count_blocks(weights: Weights, pattern: str = r"blocks\.(\d+)\.") -> int:
    """Number of layers, from the names.

    Raises:
        DataError: there are none, or one is missing.
    """
    found = {int(match[1]) for name in weights if (match := re.match(pattern, name))}
    if found != set(range(len(found))) or not found:
        raise DataError(f"the file has blocks {sorted(found)}: 0, 1, ... were expected")
    return len(found)


def refuse_rest(weights: Weights, used: Iterable[str]) -> None:
    """Refuse tensors that were not read.

    Raises:
        DataError: there is one.
    """
    rest = sorted(set(weights) - set(used))
    if rest:
        raise DataError(f"the file has {rest[0]}, which this layout has no place for")


def biases(ours: Weights) -> str:
    """Which biases are there, in ``ModelConfig.biases``'s words."""
    there = {name.rpartition(".")[2] for name, t in ours.items() if ".b_" in f".{name}" and bool((t != 0).any())}
    return "none" if not there else "mlp" if there <= {"b_in", "b_out"} else "all"


def convert(
    snapshots: dict[int, Weights], read: Callable[[Weights], dict[str, Tensor]]
) -> dict[int, dict[str, Tensor]]:
    """Every snapshot in our names and shapes; those of one file have one shape.

    Raises:
        DataError: shapes that do not fit together.
    """
    try:
        return {step: read(weights) for step, weights in snapshots.items()}
    except (RuntimeError, IndexError) as error:
        raise DataError(f"the tensors' shapes do not fit together: {_first_line(error)}") from error


def complete(imported: Imported) -> Imported:
    """The same with the tensors that a layout leaves out (zero biases), checked against the model.

    Raises:
        UsageError: the configuration is not allowed.
        DataError: a tensor's shape does not fit.
    """
    try:
        config = from_json(imported.config)
    except ValueError as error:
        raise UsageError(str(error)) from error
    model = build_model(config).state_dict()
    zeros = {name: torch.zeros_like(t) for name, t in model.items() if name.rpartition(".")[2].startswith("b_")}
    fixed = {n: t for n, t in model.items() if n == "pos_embed.W_pos" and config.model.positions == "sinusoidal"}
    made = {}
    for step, weights in imported.snapshots.items():
        found = {**zeros, **fixed, **weights}
        for name, tensor in model.items():
            if name not in found:
                raise DataError(f"{name} is missing at step {step}")
            if found[name].shape != tensor.shape:
                raise DataError(
                    f"{name} has shape {tuple(found[name].shape)}; the others ask for {tuple(tensor.shape)}"
                )
        made[step] = {name: found[name].detach().float().contiguous().clone() for name in model}
    return Imported(imported.config, made, imported.is_train, imported.notes)


# ---- split -----------------------------------------------------------------------------------------


def add_split(task: dict[str, Any], given: Given) -> Bool[Tensor, " rows"] | None:
    """The split that the flags describe, its fields added to ``task``; None where they do not.

    Raises:
        UsageError: they describe half of one.
    """
    if given.train_frac is not None:
        task["train_frac"] = given.train_frac
    if given.split is None:
        if given.split_seed is not None:
            raise UsageError("--split-seed alone tells no split: give --split, python or torch, and --train-frac")
        return None
    if given.train_frac is None or given.split_seed is None:
        raise UsageError("a split needs --train-frac, --split and --split-seed: give all three, or none")
    task |= {"split": given.split, "split_seed": given.split_seed}
    try:
        rows = all_pairs_task(from_json({"task": task}).task)
    except ValueError as error:
        raise UsageError(str(error)) from error
    n_train = int(given.train_frac * int(rows.is_defined.sum()))
    return split_mask(rows.is_defined, n_train, given.split, given.split_seed)
