"""Safetensors files with tensors, a small JSON object and a checksum of the whole file.

The JSON is stored under a single metadata key, because the order of several keys is not reproducible. Its field
``sha256`` is the SHA-256 of the file with zeros in place of the field's value.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from train.errors import DataError

from .documents import METADATA, OLD_METADATA
from .files import read_head, read_regular
from .json_files import loads
from .strict import checked, integer, listed, mapping, record, text

MAX_HEADER = 1_000_000
"""Upper limit on the bytes of a header."""
MOST_VALUES = 400_000
ZEROS = "0" * 64
ITEM_BYTES = {
    **{"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Allowed dtypes, with their sizes in bytes."""
PLACE = listed(integer(), 2)
TENSOR = record({"dtype": text("|".join(ITEM_BYTES)), "shape": listed(integer(), 16), "data_offsets": PLACE})
HEADER = mapping(TENSOR)


def pack(tensors: Mapping[str, Tensor], state: dict[str, Any]) -> bytes:
    """The bytes of a file with copies of tensors, a JSON-serialisable dictionary and a checksum."""
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = json.dumps({**state, "sha256": ZEROS}, sort_keys=True, allow_nan=False)
    data = safetensors.torch.save(owned, metadata={"groklens": metadata})
    at = data.index(ZEROS.encode(), 8, 8 + _header_length(data))
    checksum = hashlib.sha256(data).hexdigest()
    return b"".join((data[:at], checksum.encode(), memoryview(data)[at + 64 :]))


def read_whole(path: Path) -> bytes:
    """The bytes of a tensor file, whose size is checked against the header before the rest is read.

    Raises:
        MissingFile: there is no such file.
        DataError: the header is not valid, or the file's size differs from the header's.
    """
    head, size = read_head(path, 8 + MAX_HEADER)
    try:
        header, _ = _header(head)
        stated = 8 + _header_length(head) + max((one["data_offsets"][-1] for one in header.values()), default=0)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} is not a readable file of tensors: {error}") from error
    if size != stated:
        raise DataError(f"{path} is corrupt or truncated: it has {size:,} bytes where its header states {stated:,}")
    return read_regular(path, size, size)


def unpack(data: bytes, path: Path, kind: str, *, old: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors sorted by name, and the dictionary, of a file of a ``kind``: "snapshot", "resume" or "split".

    ``old`` allows files without a checksum, whose dictionary has no ``sha256``.

    Raises:
        DataError: the file is not of this kind, or does not match its checksum.
    """
    try:
        header, state = _header(data)
        checksum = state.get("sha256")
        if checksum is None and not old:
            raise ValueError("it carries no checksum")
        if checksum is not None:
            _verify(data, checksum)
        checked(state, METADATA[kind] if checksum is not None else OLD_METADATA[kind], path)
        _check_layout(header, len(data) - 8 - _header_length(data))
        return dict(sorted(safetensors.torch.load(data).items())), state
    except (ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        if isinstance(error, DataError):
            raise
        what = "resume state" if kind == "resume" else kind
        raise DataError(f"{path} is not a readable {what}: {error}") from error


def _header_length(data: bytes) -> int:
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= MAX_HEADER or len(data) < 8 + length:
        raise ValueError("its header is too long or cut off")
    return length


def _header(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header without its metadata, and the dictionary in the metadata."""
    header = loads(data[8 : 8 + _header_length(data)], MOST_VALUES)
    metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or list(metadata) != ["groklens"] or type(metadata["groklens"]) is not str:
        raise ValueError("its header has no metadata of ours")
    HEADER(header, "header")
    state = loads(metadata["groklens"].encode(), MOST_VALUES)
    if not isinstance(state, dict):
        raise ValueError("its metadata are no object")
    return header, state


def _verify(data: bytes, checksum: Any) -> None:
    end = 8 + _header_length(data)
    at = data.find(checksum.encode(), 8, end) if type(checksum) is str and len(checksum) == 64 else -1
    if at < 0:
        raise ValueError("it carries no checksum")
    content = hashlib.sha256(data[:at])
    content.update(ZEROS.encode())
    content.update(memoryview(data)[at + 64 :])
    if content.hexdigest() != checksum:
        raise ValueError("its content is not what its own SHA-256 says")


def _check_layout(header: dict[str, Any], n_bytes: int) -> None:
    """Refuse tensors that overlap, leave gaps or do not fill the file exactly."""
    end = 0
    for name, one in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if len(one["data_offsets"]) != 2 or one["data_offsets"][0] != end:
            raise ValueError(f"tensor {name[:60]!r} does not begin where the one before ends")
        size = math.prod(one["shape"]) * ITEM_BYTES[one["dtype"]]
        if one["data_offsets"][1] - end != size:
            raise ValueError(f"tensor {name[:60]!r} has not the bytes that its shape takes")
        end += size
    if end != n_bytes:
        raise ValueError("its tensors do not fill it")


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two sets of named tensors are equal, bit for bit (NaN and the sign of zero included)."""
    return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)


def _same(a: Tensor, b: Tensor) -> bool:
    a, b = (t.detach().cpu().contiguous() for t in (a, b))
    return (
        a.shape == b.shape and a.dtype == b.dtype and a.view(-1).view(torch.uint8).equal(b.view(-1).view(torch.uint8))
    )


def check_like(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors whose names, shapes or dtypes are not the expected ones.

    Raises:
        DataError: a tensor differs; the message names the first.
    """
    odd = sorted(set(found) ^ set(expected))
    if odd:
        raise DataError(f"{what} does not fit the run's config: it {'has' if odd[0] in found else 'lacks'} {odd[0]!r}")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            ours, theirs = ((list(t.shape), str(t.dtype).removeprefix("torch.")) for t in (tensor, found[name]))
            difference = f"{name} is {theirs[0]} {theirs[1]}, not {ours[0]} {ours[1]}"
            raise DataError(f"{what} does not fit the run's config: {difference}")
