"""The split of an imported run, stored in a separate file because the config does not determine the split."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from train.errors import DataError

from .documents import check_run
from .files import write_atomic
from .tensors import pack, read_whole, unpack

NAME = "split.safetensors"


def write_split(path: Path, is_train: Bool[Tensor, " rows"], run: str) -> None:
    """Write the mask of the training rows to the run's directory ``path``."""
    write_atomic(path / NAME, pack({"is_train": is_train}, {"kind": "split", "run": run}))


def read_split(path: Path, run: str, *, old: bool) -> Bool[Tensor, " rows"]:
    """The mask of the training rows.

    Raises:
        DataError: the file cannot be read, is damaged, or belongs to another run.
    """
    home = path / NAME
    tensors, state = unpack(read_whole(home), home, "split", old=old)
    check_run(state.get("run", run), run, home)
    if list(tensors) != ["is_train"] or tensors["is_train"].dtype != torch.bool or tensors["is_train"].ndim != 1:
        raise DataError(f"{home} holds no split")
    return tensors["is_train"]
