"""Files of weights: torch.save's zip archives, its older format from before version 1.6, and safetensors.

Sizes are compared with the file's own before a byte is read for them. Tensors are views of the mapped file; everything
else that a file holds becomes plain values and inert records: see ``pickled`` and ``records``.
"""

import json
import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from train.errors import DataError

from .pickled import load
from .records import DTYPES, Name, Storage

MAX_FILE = 16 * 2**30
"""Largest size of a file in bytes."""
MAX_OBJECTS = 64 * 2**20
"""Largest size in bytes of data.pkl, and of the objects of an older file."""
MAX_ENTRIES = 200_000
"""Largest number of entries of an archive: room for a model's tensors and for 50,000 epochs' losses as tensors."""
MAX_HEADER = 10 * 2**20
"""Largest size in bytes of a safetensors header."""
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""Numbers that begin a file from before PyTorch 1.6."""
Bytes = Any
"""A memory-mapped file."""


def read_file(path: Path) -> Any:
    """Contents of a file of weights, as plain values, tensors and records.

    Raises:
        DataError: the file is damaged, of another kind, or larger than a model's file can be.
    """
    try:
        data = _mapped(path)
        return _safetensors(data) if path.suffix == ".safetensors" else _torch(data)
    except DataError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except MemoryError as error:
        raise DataError(f"{path} cannot be read: it takes more memory than there is") from error


def _mapped(path: Path) -> Bytes:
    """A private memory map of a regular file: writes to the map stay in memory."""
    try:
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        fd = os.open(path, os.O_RDONLY | flags)  # opening a FIFO would wait for a writer
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise DataError("it is not a regular file")
            if not 0 < status.st_size <= MAX_FILE:
                raise DataError(f"it has {status.st_size:,} bytes; from 1 to {MAX_FILE:,} are read")
            return mmap.mmap(fd, status.st_size, access=mmap.ACCESS_COPY)
        finally:
            os.close(fd)
    except OSError as error:
        raise DataError(error.strerror or "it cannot be opened") from error


# ---- torch.save ------------------------------------------------------------------------------------


def _torch(data: Bytes) -> Any:
    """Contents of a file that torch.save wrote, in the format that its first bytes show."""
    if data[:4] == b"PK\x03\x04":
        return _zipped(data)
    if data[257:262] == b"ustar":
        raise DataError("it is a tar archive, as PyTorch wrote them before version 0.1.10: save it again")
    return _before_zip(data)


def _zipped(data: Bytes) -> Any:
    """Contents of an archive: the objects of data.pkl, and each storage's numbers from an entry of its own."""
    entries = _directory(data)
    root = next((name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")), None)
    if root is None:
        raise DataError("it is a zip archive without data.pkl: torch.save did not write it")
    if f"{root}constants.pkl" in entries:
        raise DataError("it is a TorchScript program, which is not run: save model.state_dict() with torch.save")
    if f"{root}byteorder" in entries and bytes(_entry(data, entries, f"{root}byteorder")) != b"little":
        raise DataError("its numbers are big-endian: save it on another machine")
    objects = _entry(data, entries, f"{root}data.pkl")
    if len(objects) > MAX_OBJECTS:
        raise DataError(f"its data.pkl has {len(objects):,} bytes; at most {MAX_OBJECTS:,} are read")
    kept: dict[str, Storage] = {}

    def storage(_kind: str, name: Any, _numel: int, dtype: torch.dtype | None, what: str) -> Storage:
        if not isinstance(name, str) or f"{root}data/{name}" not in entries:
            raise DataError("a storage is missing: the file is not complete")
        if name not in kept:
            kept[name] = Storage(None, what) if dtype is None else _storage(data, entries, f"{root}data/{name}", dtype)
        return kept[name]

    return load(bytes(objects), 0, _persistent(storage))[0]


def _persistent(storage: Callable[..., Storage]) -> Callable[[Any], Any]:
    """The reader of persistent ids, which name a storage by its kind, key, device and number of elements."""

    def make(pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # a module's class, with its source, in files before version 1.6
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], Name):
            raise DataError("it refers to something outside itself that is not a storage")
        kind, numel = pid[1].name, pid[4]
        if type(numel) is not int or numel < 0:
            raise DataError("a storage has no valid size")
        dtype = DTYPES.get(kind)
        return storage(kind, pid[2], numel, dtype, f"numbers of type {kind[:40]}" if dtype is None else "")

    return make


Entries = dict[str, tuple[int, int, int]]
"""Entries by name: offset of the local header, number of bytes, and their CRC-32."""


def _directory(data: Bytes) -> Entries:
    """The archive's directory, with every size checked against the file's.

    Raises:
        DataError: the directory is damaged, has too many entries, or compressed ones.
    """
    n, size, start = _directory_place(data)
    if n > MAX_ENTRIES:
        raise DataError(f"it is an archive of {n:,} entries; at most {MAX_ENTRIES:,} are read")
    if start + size > len(data):
        raise DataError("its directory lies beyond its end: the file is cut off")
    entries: Entries = {}
    at, total = start, 0
    for _ in range(n):
        if data[at : at + 4] != b"PK\x01\x02" or at + 46 > len(data):
            raise DataError("its directory is damaged")
        flags, method = struct.unpack("<HH", data[at + 8 : at + 12])
        crc, packed, length, n_name, n_extra, n_comment = struct.unpack("<IIIHHH", data[at + 16 : at + 34])
        (header,) = struct.unpack("<I", data[at + 42 : at + 46])
        name = data[at + 46 : at + 46 + n_name].decode("utf-8", "replace")
        extra = data[at + 46 + n_name : at + 46 + n_name + n_extra]
        length, packed, header = _wide(extra, length, packed, header)
        if method != 0 or flags & 1:
            raise DataError(
                f"its entry {name[:60]!r} is compressed: torch.save writes uncompressed ones; save it again"
            )
        if length != packed or header + 30 + length > len(data):
            raise DataError(f"its entry {name[:60]!r} is longer than the file: it is damaged")
        entries[name] = header, length, crc
        total, at = total + length, at + 46 + n_name + n_extra + n_comment
    if total > len(data):
        raise DataError("its entries overlap: it is damaged")
    return entries


def _directory_place(data: Bytes) -> tuple[int, int, int]:
    """Number of entries of the directory, its size and its offset."""
    tail = max(0, len(data) - 65_557)
    end = data.rfind(b"PK\x05\x06", tail)
    if end < 0 or end + 22 > len(data):
        raise DataError("its directory is missing: the file is cut off")
    n, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    if 0xFFFF in (n,) or 0xFFFFFFFF in (size, start):
        if data[end - 20 : end - 16] != b"PK\x06\x07":
            raise DataError("its directory is damaged")
        (wide,) = struct.unpack("<Q", data[end - 12 : end - 4])
        if wide + 56 > len(data) or data[wide : wide + 4] != b"PK\x06\x06":
            raise DataError("its directory is damaged")
        n, size, start = struct.unpack("<QQQ", data[wide + 32 : wide + 56])
    return n, size, start


def _wide(extra: bytes, *short: int) -> list[int]:
    """Sizes and offset of an entry, from the extra field where they exceed 32 bits."""
    at, wide = 0, b""
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[at : at + 4])
        wide, at = extra[at + 4 : at + 4 + size] if kind == 1 else wide, at + 4 + size
    values = []
    for value in short:
        if value == 0xFFFFFFFF:
            if len(wide) < 8:
                raise DataError("its directory is damaged")
            value, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
        values.append(value)
    return values


def _entry(data: Bytes, entries: Entries, name: str) -> memoryview:
    """The bytes of an entry, verified by their checksum.

    Raises:
        DataError: the entry is damaged.
    """
    header, length, crc = entries[name]
    if data[header : header + 4] != b"PK\x03\x04":
        raise DataError(f"its entry {name[:60]!r} is damaged")
    n_name, n_extra = struct.unpack("<HH", data[header + 26 : header + 30])
    start = header + 30 + n_name + n_extra
    content = memoryview(data)[start : start + length]
    if len(content) != length or zlib.crc32(content) != crc:
        raise DataError(f"its entry {name[:60]!r} is damaged: its checksum is not the one it was written with")
    return content


def _storage(data: Bytes, entries: Entries, name: str, dtype: torch.dtype) -> Storage:
    return _numbers(_entry(data, entries, name), dtype)


def _numbers(content: memoryview, dtype: torch.dtype) -> Storage:
    """Bytes as numbers, without a copy where they are aligned."""
    if len(content) % dtype.itemsize:
        raise DataError(f"a storage of {len(content)} bytes has no whole number of {dtype}")
    if not content:
        return Storage(torch.empty(0, dtype=dtype))
    values = torch.frombuffer(content, dtype=torch.uint8)
    if values.data_ptr() % dtype.itemsize:
        values = values.clone()
    return Storage(values.view(dtype))


# ---- before version 1.6 ----------------------------------------------------------------------------


def _before_zip(data: Bytes) -> Any:
    """Contents of an older file: five objects, of which the fourth was saved, then the numbers of all storages.

    The numbers follow the objects that view them, so the saved object is read twice: for the storages' sizes, and with
    the numbers.
    """
    end = min(len(data), MAX_OBJECTS)
    text = data[:end]
    try:
        magic, at = load(text, 0, _no_storage)
        protocol, at = load(text, at, _no_storage)
    except DataError as error:
        raise DataError("it is damaged, or torch.save did not write it") from error
    if magic != MAGIC or protocol != PROTOCOL:
        raise DataError("torch.save did not write it: save model.state_dict() with torch.save")
    _, start = load(text, at, _no_storage)
    wanted: dict[Any, tuple[torch.dtype | None, int]] = {}

    def note(_kind: str, name: Any, numel: int, dtype: torch.dtype | None, what: str) -> Storage:
        if not isinstance(name, str):
            raise DataError("a storage has no name")
        wanted[name] = dtype, numel
        return Storage(None, what)

    _, at = load(text, start, _persistent(note))
    names, at = load(text, at, _no_storage)
    if not isinstance(names, list) or sorted(map(str, names)) != sorted(wanted):
        raise DataError("its storages are not those that its objects name: it is damaged")
    kept: dict[Any, Storage] = {}
    for name in names:
        dtype, numel = wanted[name]
        if dtype is None:
            raise DataError("it holds numbers of a type that models here do not have")
        (length,) = struct.unpack("<q", data[at : at + 8]) if at + 8 <= len(data) else (-1,)
        n_bytes = numel * dtype.itemsize
        if length != numel or at + 8 + n_bytes > len(data):
            raise DataError("its storages break off: the file is cut off")
        kept[name] = _numbers(memoryview(data)[at + 8 : at + 8 + n_bytes], dtype)
        at += 8 + n_bytes
    return load(text, start, _persistent(lambda _kind, name, *_: kept[name]))[0]


def _no_storage(_pid: Any) -> Any:
    raise DataError("it refers to a storage at a place that cannot hold one")


# ---- safetensors -----------------------------------------------------------------------------------


def _safetensors(data: Bytes) -> Any:
    """Tensors by name of a safetensors file."""
    import safetensors
    import safetensors.torch

    length = int.from_bytes(data[:8], "little")
    if length > min(MAX_HEADER, len(data) - 8):
        raise DataError(
            f"its header has {length:,} bytes; at most {MAX_HEADER:,} are read, and it must lie in the file"
        )
    try:
        header = json.loads(data[8 : 8 + length])
        if not isinstance(header, dict):
            raise ValueError("its header is not a dictionary")
        return safetensors.torch.load(bytes(data))
    except (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise DataError(f"it is not a readable safetensors file: {str(error)[:200]}") from error
