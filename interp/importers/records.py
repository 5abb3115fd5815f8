"""Objects built from an untrusted pickle: tensors from storages, containers, and inert records of everything else.

Nothing here imports or calls what a file names. A name is looked up in a closed list of makers, all of which are
functions of this module; an object of any other class becomes a ``Record`` of the class's name and the data that the
file gives for the object.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from train.errors import DataError

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
"""Element types by the name of a storage's class; those of other classes are not read."""


@dataclass(frozen=True, eq=False)
class Name:
    """A class or function that a file names; the name is never resolved."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:100]


@dataclass(eq=False)
class Record:
    """An object of a class that is never resolved: the data that the file gives for the object."""

    kind: Name
    args: tuple[Any, ...] = ()
    fields: dict[Any, Any] = field(default_factory=dict)
    """Attributes of the object, and the items of a mapping."""
    items: list[Any] = field(default_factory=list)
    """The items of a list."""
    state: Any = None
    """State that the object's class would have been given, where the state is not a dictionary of attributes."""


@dataclass(frozen=True)
class Unread:
    """A tensor whose numbers are not read; ``what`` describes it in messages."""

    what: str


@dataclass(frozen=True)
class Storage:
    """Numbers in a file; ``values`` is None where they are not read, and ``what`` says why."""

    values: Tensor | None
    what: str = ""


# ---- makers ----------------------------------------------------------------------------------------


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor | Unread:
    """A tensor as a view of a storage; no numbers are copied.

    Raises:
        DataError: the view has no valid sizes and strides, or exceeds the storage.
    """
    if not isinstance(storage, Storage):
        raise DataError("a tensor has no storage")
    if storage.values is None:
        return Unread(storage.what)
    whole = [offset, *size, *stride] if isinstance(size, tuple) and isinstance(stride, tuple) else [-1]
    if len(whole) > 33 or not all(type(n) is int and 0 <= n < 2**48 for n in whole) or len(size) != len(stride):
        raise DataError("a tensor has no valid sizes and strides")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 in size:
        return torch.empty(size, dtype=storage.values.dtype)
    if last >= len(storage.values):
        raise DataError(f"a tensor of shape {size} exceeds its storage of {len(storage.values)} numbers")
    if math.prod(size) > max(len(storage.values), 1_000_000):
        return Unread(f"an expanded view, {math.prod(size):,} numbers of {len(storage.values):,} stored ones")
    return storage.values.as_strided(size, stride, offset)


def _tensor_of_dtype(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any):
    """A tensor of a dtype of its own, in an untyped storage of bytes."""
    name = dtype.name if isinstance(dtype, Name) else "no type"
    known = {str(each).removeprefix("torch."): each for each in DTYPES.values()}.get(name)
    if known is None or not isinstance(storage, Storage) or storage.values is None:
        return Unread(f"a {name} tensor")
    n_bytes = len(storage.values) - len(storage.values) % known.itemsize
    return _tensor(Storage(storage.values[:n_bytes].view(known)), offset, size, stride)


def _same(value: Any, *_: Any) -> Any:
    """The first argument: the tensor of a Parameter."""
    return value


def _from_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor of a subclass, or with extra attributes, as a plain tensor."""
    make = _maker(function)
    return make(*args) if make is not None and isinstance(args, tuple) else Unread("a tensor of a class of its own")


def _mapping(*args: Any) -> dict[Any, Any]:
    """A plain dictionary for an OrderedDict, a Counter, or a defaultdict (whose factory is dropped)."""
    items = next((arg for arg in args if isinstance(arg, dict | list)), [])
    return dict(items) if isinstance(items, dict) else {key(pair[0]): pair[1] for pair in items}


def _sequence(items: Any = (), *_: Any) -> list[Any]:
    """The items of a deque, a set or the like, as a list."""
    return list(items) if isinstance(items, list | tuple) else []


def _encoded(text: Any, *_: Any) -> bytes:
    """Bytes, which protocols before 3 write as text."""
    return text.encode("latin1") if isinstance(text, str) else b""


def _unread(what: str) -> Callable[..., Unread]:
    return lambda *_: Unread(what)


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_dtype,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("torch._utils", "_rebuild_parameter_with_state"): _same,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    ("torch._utils", "_rebuild_sparse_tensor"): _unread("a sparse tensor"),
    ("torch._utils", "_rebuild_qtensor"): _unread("a quantised tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _unread("a meta tensor, which has no numbers"),
    ("torch._utils", "_rebuild_nested_tensor"): _unread("a nested tensor"),
    ("torch._utils", "_rebuild_wrapper_subclass"): _unread("a tensor of a class of its own"),
    ("torch", "Size"): lambda size=(), *_: tuple(_sequence(size)),
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("collections", "deque"): _sequence,
    ("_codecs", "encode"): _encoded,
    ("builtins", "range"): range,
    ("__builtin__", "xrange"): range,
}
"""Everything that is built, by module and name: the closed list."""
MAKERS |= {(b, name): _sequence for b in ("builtins", "__builtin__") for name in ("set", "frozenset", "list")}
MAKERS |= {(b, "dict"): _mapping for b in ("builtins", "__builtin__")}


def _maker(function: Any) -> Callable[..., Any] | None:
    return MAKERS.get((function.module, function.name)) if isinstance(function, Name) else None


def call(function: Any, args: Any) -> Any:
    """The result of a function of the closed list; for any other function, a record of the call.

    Raises:
        DataError: the function does not take these arguments.
    """
    args = args if isinstance(args, tuple) else (args,)
    make = _maker(function)
    if make is None:
        return Record(function if isinstance(function, Name) else Name("", type(function).__name__), args)
    try:
        return make(*args)
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise DataError(f"{function} does not take the arguments in the file") from error


def tell(thing: Any, state: Any) -> None:
    """Set the state of a record; the state of tensors and containers is dropped."""
    if not isinstance(thing, Record):
        return
    both = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    if all(part is None or isinstance(part, dict) for part in both):
        for part in both:
            thing.fields.update(part or {})
    else:
        thing.state = state


def key(value: Any) -> Any:
    """``value`` as a dictionary key that is cheap to hash: plain values and short tuples; others by identity."""
    if value is None or isinstance(value, str | int | float | bytes | Name | Record):
        return value
    if isinstance(value, tuple) and len(value) < 100 and all(isinstance(v, str | int | float | bytes) for v in value):
        return value
    return Record(Name("", type(value).__name__))
