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
"""Whether this thread is inside ``products("tf32")``; PyTorch's own flag is global to the process."""
OBEYS = frozenset({"optim.precision"})
"""Settings that this file obeys."""


def check_precision(config: RunConfig, device: "torch.device") -> None:
    """Refuse a precision that the device does not support.

    Raises:
        UsageError: tf32 is requested on a device that is not a GPU.
    """
    if config.optim.precision == "tf32" and device.type != "cuda":
        raise UsageError(f"precision = tf32 needs a CUDA device, not {device}; allowed there are float32, bfloat16")


@contextlib.contextmanager
def products(precision: str, device: "torch.device") -> Iterator[None]:
    """A context that sets the precision of PyTorch's matrix products: bfloat16 by autocast, tf32 by cuBLAS's mode.

    On CUDA, "float32" turns TF32 off even if the process has turned it on.
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
    """Gradients of a loss that was computed inside ``products``; zeros for leaves that the loss does not depend on.

    Autocast covers the forward pass only: in the backward pass a product has the precision of its saved factors, so the
    gradient of the logits' product is not rounded either. The TF32 flag must be set during the backward pass as well.
    """
    import torch

    with products("float32" if precision == "bfloat16" else precision, device):
        return torch.autograd.grad(loss, list(leaves), materialize_grads=True)


@contextlib.contextmanager
def unrounded(device: "torch.device") -> Iterator[None]:
    """Turns autocast off inside ``products`` (for the logits).

    Under tf32 only the forward pass is unrounded: PyTorch reads its flag when a product runs, and the products of the
    backward pass run later.
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

    PyTorch 2.9 renamed the flag; after one name is set, reading the other raises an error or a warning.
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
