"""Parsing of flag values that several commands share."""

import contextlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train import hints
from train.errors import UsageError, shown
from train.hints import nearest
from train.storage.files import read_small

if TYPE_CHECKING:
    import torch


MOST_TOML = 300_000
"""Upper limit on the bytes of a TOML file, far above any real list of settings."""
MOST_DOTS = 100
"""Upper limit on dots per line, decimal points aside: parsing time is quadratic in the parts of a dotted name."""
MOST_SEEDS = 10_000


def read_toml(path: Path, name: str = "") -> dict[str, Any]:
    """Settings of a TOML file; error messages begin with ``name`` and the path.

    Raises:
        UsageError: the file cannot be read.
    """
    return parse_toml(read_text(path, name), f"{name}{path}")


def read_text(path: Path, name: str = "") -> str:
    """Text of a settings file: a regular file in UTF-8 of at most ``MOST_TOML`` bytes.

    Raises:
        UsageError: the file is something else, or cannot be read.
    """
    try:
        return read_small(path, MOST_TOML).decode()
    except OSError as error:
        raise UsageError(f"{name}{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}{path} is not TOML: {error}") from error
    except ValueError as error:
        raise UsageError(f"{name}{path} cannot be read: {error}") from error


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Settings of TOML text; error messages begin with ``where``, the name of the source.

    Raises:
        UsageError: the text is not TOML.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS and re.sub(r"[0-9]\.[0-9]", "", line).count(".") > MOST_DOTS:
            raise UsageError(f"{where} line {number} has a name of too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{where} is not TOML that can be read: it is nested too deeply") from error
    except ValueError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error


def parse_seeds(text: str) -> list[int]:
    """The seeds of "0..15", "3,5,8" or a mixture such as "0..3,10", in order and without duplicates.

    Raises:
        UsageError: the text has another form, or more than ``MOST_SEEDS`` seeds (counted before expansion).
    """
    spans: list[range] = []
    for part in text.split(","):
        ends = [int(end) for end in part.strip().split("..") if re.fullmatch(r"[0-9]{1,18}", end)]
        if len(ends) != part.count("..") + 1 or len(ends) > 2 or ends[0] > ends[-1]:
            raise UsageError(f"--seeds {shown(text)} is not allowed; give seeds such as 0..15 or 3,5,8")
        spans.append(range(ends[0], ends[-1] + 1))
    count = sum(map(len, spans))
    if count > MOST_SEEDS:
        raise UsageError(f"--seeds {shown(text)} is {count:,} seeds; at most {MOST_SEEDS:,} are allowed")
    return list(dict.fromkeys(seed for span in spans for seed in span))


@contextlib.contextmanager
def threads_set(threads: int | None, device: "torch.device") -> Iterator[None]:
    """A context in which PyTorch uses ``threads`` CPU threads; None leaves the number unchanged.

    Raises:
        UsageError: ``threads`` is below 1, or the device is not the CPU.
    """
    import torch

    if threads is None:
        yield
        return
    if threads < 1:
        raise UsageError(f"threads = {threads} is not allowed; it must be at least 1")
    if device.type != "cpu":
        raise UsageError(f"--threads are the CPU's and the run is on {device}: leave it out, or give --device cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


DEVICES = "auto, cpu, cuda, cuda:<n>"
ABSENT = {
    "mps": "the loss is computed in float64, which Apple's GPUs do not have",
    "xpu": "Intel's GPUs are not supported",
    "meta": "it holds no numbers",
}
"""PyTorch devices that training does not support, with the reason."""


def find_device(name: str) -> "torch.device":
    """The device called ``name``; "auto" means cuda if available, else cpu.

    Raises:
        UsageError: this machine has no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = name.split(":")[0]
    if kind.lower() in ABSENT:
        raise UsageError(f"device {shown(name)} cannot be used: {ABSENT[kind.lower()]}; allowed are {DEVICES}")
    if kind not in ("cpu", "cuda"):
        hint = nearest(kind.lower(), ("cpu", "cuda", "auto"), hints.DEVICES)
        raise UsageError(f"unknown device {shown(name)}{hint}; allowed are {DEVICES}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} is not available here: {str(error).splitlines()[0]}") from error
    return device
