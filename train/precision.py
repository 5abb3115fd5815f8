"""Precision of the matrix products of training."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .config import RunConfig
from .errors import UsageError

if TYPE_CHECKING:
    import torch

OBEYS = frozenset({"optim.precision"})
"""Settings that are obeyed here."""


def check_precision(config: RunConfig, device: "torch.device") -> None:
    """Refuse what the device does not have.

    Raises:
        UsageError: tf32 on another device than a GPU.
    """
    if config.optim.precision == "tf32" and device.type != "cuda":
        raise UsageError(f"precision = tf32 needs a CUDA device, not {device}; allowed there are float32, bfloat16")


@contextlib.contextmanager
def products(precision: str, device: "torch.device") -> Iterator[None]:
    """PyTorch's products within are taken so: bfloat16 by autocast, tf32 by cuBLAS's mode."""
    import torch

    if precision == "bfloat16":
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            yield
    elif precision == "tf32":
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
    else:
        yield


@contextlib.contextmanager
def unrounded(device: "torch.device") -> Iterator[None]:
    """Within ``products``, a place where they are in the factors' own precision after all."""
    import torch

    with torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda") else contextlib.nullcontext():
        yield
