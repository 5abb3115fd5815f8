"""Precision of the matrix products of training."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from train.config.run import RunConfig
from train.errors import UsageError

if TYPE_CHECKING:
    import torch

_IN_TF32: ContextVar[bool] = ContextVar("in_tf32", default=False)
"""Whether this thread is within ``products("tf32")``; PyTorch's own switch is the whole process's."""
OBEYS = frozenset({"optim.precision"})
"""Settings that this file obeys."""


def check_precision(config: RunConfig, device: "torch.device") -> None:
    """Refuse a precision that the device does not support.

    Raises:
        UsageError: tf32 is asked for on another device than a GPU.
    """
    if config.optim.precision == "tf32" and device.type != "cuda":
        raise UsageError(f"precision = tf32 needs a CUDA device, not {device}; allowed there are float32, bfloat16")


@contextlib.contextmanager
def products(precision: str, device: "torch.device") -> Iterator[None]:
    """A context in which PyTorch's matrix products have this precision: bfloat16 by autocast, tf32 by cuBLAS's mode.

    On CUDA, float32 means float32 whatever the process has set.
    """
    import torch

    with contextlib.ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(_tf32(precision == "tf32"))
        if precision == "bfloat16":
            stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False))
        yield


def gradients(
    loss: "torch.Tensor", leaves: "Sequence[torch.Tensor]", precision: str, device: "torch.device"
) -> "tuple[torch.Tensor, ...]":
    """Gradients of a loss that was computed within ``products``; zeros for a leaf that the loss does not depend on.

    Autocast is for the forward pass: backward, a product has the precision of its saved factors, so the logits' product
    is not rounded on its way back either. TF32 is a switch that backward products read too.
    """
    import torch

    with products("float32" if precision == "bfloat16" else precision, device):
        return torch.autograd.grad(loss, list(leaves), materialize_grads=True)


@contextlib.contextmanager
def unrounded(device: "torch.device") -> Iterator[None]:
    """Turns autocast off inside ``products`` (for the logits).

    Under tf32 this holds for the forward pass alone: PyTorch's switch is read when a product is taken, and those of
    the backward pass are taken later.
    """
    import torch

    with contextlib.ExitStack() as stack:
        if device.type in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if _IN_TF32.get():
            stack.enter_context(_tf32(False))
        yield


@contextlib.contextmanager
def _tf32(is_allowed: bool) -> Iterator[None]:
    """A context that sets whether cuBLAS rounds the factors of float32 products to TF32, and restores the setting.

    PyTorch 2.9 has a new name for that switch; setting one name makes reading the other an error, or a warning.
    """
    import torch

    matmul: Any = torch.backends.cuda.matmul
    name, value = "allow_tf32", is_allowed
    if hasattr(matmul, "fp32_precision"):
        name, value = "fp32_precision", "tf32" if is_allowed else "ieee"
    before, token = getattr(matmul, name), _IN_TF32.set(is_allowed)
    setattr(matmul, name, value)
    try:
        yield
    finally:
        setattr(matmul, name, before)
        _IN_TF32.reset(token)
