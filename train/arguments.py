"""Values of flags that several commands take."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .operations import nearest

if TYPE_CHECKING:
    import torch


def read_toml(path: Path, name: str = "") -> dict[str, Any]:
    """Settings of a TOML file, which messages call by ``name`` and path.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{name}{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{name}{path} is not TOML: {error}") from error


def parse_seeds(text: str) -> list[int]:
    """Seeds of "0..15", "3,5,8" or both, "0..3,10": in order, each once.

    Raises:
        UsageError: it is something else.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        if not first.isdigit() or dots and not (last.isdigit() and int(last) >= int(first)):
            raise UsageError(f"--seeds {text!r} is not allowed; give seeds such as 0..15 or 3,5,8")
        seeds += range(int(first), int(last if dots else first) + 1)
    return list(dict.fromkeys(seeds))


def find_device(name: str) -> "torch.device":
    """The device called ``name``; auto is cuda where there is one, else cpu.

    Raises:
        UsageError: no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = name.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UsageError(
            f"unknown device {name!r}{nearest(name, ('cpu', 'cuda', 'auto'))}; allowed are auto, cpu, cuda, cuda:<n>"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} is not available here: {str(error).splitlines()[0]}") from error
    return device
