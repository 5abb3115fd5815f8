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
"""Torch dtypes by NumPy's codes."""
MAX_LISTED = 5_000_000
"""Longest list of numbers, such as losses, that is read."""


def plain_fields(thing: Any) -> dict[str, Any]:
    """Fields of a dictionary or config object whose values are plain: numbers, texts, None, and lists of these.

    The fields of a config that keeps them in an inner dictionary, as omegaconf's do, are those of that dictionary.
    """
    fields = thing.fields if isinstance(thing, Record) else thing
    if not isinstance(fields, Mapping):
        return {}
    inner = fields.get("_content")
    fields = inner if isinstance(inner, Mapping) else fields
    values = {name: _plain(value) for name, value in fields.items() if isinstance(name, str)}
    return {name: value for name, value in values.items() if value is not _NOT_PLAIN}


_NOT_PLAIN = object()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Record) and "_val" in value.fields:  # a node of omegaconf
        return _plain(value.fields["_val"])
    if isinstance(value, Record) and len(value.args) == 1 and not value.fields:  # a member of an Enum, or a path
        return _plain(value.args[0])
    if isinstance(value, list | tuple) and len(value) < 1000 and all(isinstance(v, str | int | float) for v in value):
        return list(value)
    return _NOT_PLAIN


def is_module(thing: Any) -> TypeGuard[Record]:
    """Whether a record is a whole torch.nn.Module."""
    return isinstance(thing, Record) and isinstance(thing.fields.get("_modules"), dict | list)


def numbers(value: Any) -> list[float] | None:
    """Float64 values of a list (of numbers, 0-d tensors or NumPy scalars), or of a tensor or array with one axis.

    None for anything else.
    """
    if isinstance(value, Record):
        value = _array(value)
    if isinstance(value, Tensor):
        is_real = value.layout == torch.strided and not value.is_complex() and value.ndim == 1
        return value.double().tolist() if is_real else None
    if not isinstance(value, list | tuple | range) or len(value) > MAX_LISTED:
        return None
    values = [_number(each) for each in value]
    return None if None in values else values  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    if isinstance(value, Record):
        value = _array(value)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return float(value)
    return float(value) if isinstance(value, int | float) and abs(value) < 2**1023 or value != value else None


def _array(record: Record) -> Tensor | None:
    """Values of a NumPy scalar or an array with one axis; None for any other record."""
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
