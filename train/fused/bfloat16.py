"""Products of rounded factors, for compiled functions that are written for float32.

Such a function's own source is run by Python, with its products replaced and the loops that it calls compiled one by
one; only the products differ.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from jaxtyping import Float32

from .arrays import Array


def multiply(a: Float32[Array, "*B m k"], b: Float32[Array, "*B k n"], out: Float32[Array, "*B m n"]) -> None:
    """``out = a @ b``, the factors and the result rounded to bfloat16."""
    found = torch.from_numpy(a).bfloat16() @ torch.from_numpy(b).bfloat16()
    torch.from_numpy(out).copy_(found)


def with_products(compiled: Any, product: Callable[..., None] = multiply) -> Callable[..., Any]:
    """The function that was compiled, with other products."""
    source = compiled.py_func
    return FunctionType(source.__code__, {**source.__globals__, "product": product}, source.__name__)
