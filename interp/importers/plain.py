"""Plain values of records: settings of a config object, and the numbers of a list, a tensor or a NumPy array."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

from .records import Record

NUMPY = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "b1": torch.bool,
    "u1": torch.uint8,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
}
"""Element types by NumPy's names of them."""
MAX_LISTED = 5_000_000
"""Losses, or the like, in a list."""


def plain_fields(thing: Any) -> dict[str, Any]:
    """Fields of a dictionary or of a config object whose values are plain: numbers, texts, lists of them.

    A config that keeps its fields in one dictionary, as omegaconf's do, gives those.
    """
    found = thing.fields if isinstance(thing, Record) else thing
    if not isinstance(found, Mapping):
        return {}
    inner = found.get("_content")
    found = inner if isinstance(inner, Mapping) else found
    values = {name: _plain(value) for name, value in found.items() if isinstance(name, str)}
    return {name: value for name, value in values.items() if value is not _NOT_PLAIN}


_NOT_PLAIN = object()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Record) and "_val" in value.fields:  # a node of omegaconf's
        return _plain(value.fields["_val"])
    if isinstance(value, Record) and len(value.args) == 1 and not value.fields:  # a member of an Enum, a path
        return _plain(value.args[0])
    if isinstance(value, list | tuple) and len(value) < 1000 and all(isinstance(v, str | int | float) for v in value):
        return list(value)
    return _NOT_PLAIN


def is_module(thing: Any) -> TypeGuard[Record]:
    """Whether a record is a whole torch.nn.Module."""
    return isinstance(thing, Record) and isinstance(thing.fields.get("_modules"), dict | list)


def numbers(value: Any) -> list[float] | None:
    """Numbers of a list (of numbers, 0-d tensors or NumPy's scalars), a tensor or an array of one axis; None if none.

    Numbers are those of float64.
    """
    if isinstance(value, Record):
        value = _array(value)
    if isinstance(value, Tensor):
        is_real = value.layout == torch.strided and not value.is_complex() and value.ndim == 1
        return value.double().tolist() if is_real else None
    if not isinstance(value, list | tuple | range) or len(value) > MAX_LISTED:
        return None
    found = [_number(each) for each in value]
    return None if None in found else found  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    if isinstance(value, Record):
        value = _array(value)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return float(value)
    return float(value) if isinstance(value, int | float) and abs(value) < 2**1023 or value != value else None


def _array(record: Record) -> Tensor | None:
    """The numbers of NumPy's scalars and arrays of one axis; None where it is something else."""
    is_numpy = record.kind.module.split(".")[0] == "numpy"
    if is_numpy and record.kind.name == "scalar" and len(record.args) == 2:
        dtype, data = record.args
    elif is_numpy and record.kind.name == "_reconstruct" and isinstance(record.state, tuple) and len(record.state) == 5:
        _, shape, dtype, _, data = record.state
        if not isinstance(shape, tuple) or len(shape) != 1:
            return None
    elif is_numpy and record.kind.name == "_frombuffer" and len(record.args) >= 2:
        data, dtype = record.args[:2]
    else:
        return None
    code = dtype.args[0] if isinstance(dtype, Record) and dtype.args else None
    order = dtype.state[1] if isinstance(dtype, Record) and isinstance(dtype.state, tuple) and dtype.state[1:] else "<"
    kind = NUMPY.get(code) if isinstance(code, str) else None
    if kind is None or not isinstance(data, bytes | bytearray) or not data or len(data) % kind.itemsize or order == ">":
        return None
    return torch.frombuffer(bytearray(data), dtype=kind)
