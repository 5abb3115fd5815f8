"""Precision of matrix products."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def products(precision: str, device: torch.device) -> Iterator[None]:
    """PyTorch's products within are taken in this precision: "float32", "tf32" (CUDA) or "bfloat16" (autocast)."""
    if precision == "bfloat16":
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            yield
        return
    if precision == "tf32" and device.type == "cuda":
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
        return
    yield
