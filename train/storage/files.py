"""Files of ours on a disk: written whole or not at all, read only where they are regular files of a sane size.

No function here follows a link in the last part of a path, or waits for a pipe or a device.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from train.errors import DataError, MissingFile

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
QUIET_OPEN = 0
"""Flags with which opening a planted link fails, and opening a planted pipe does not wait for its other end."""
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # Windows has the last alone
    QUIET_OPEN |= getattr(os, _name, 0)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: exclusive temporary file beside it, fsync, rename, fsync the folder.

    Raises:
        OSError: the disk refuses; an earlier file at ``path`` is then untouched. Where the disk is full, the message
            names the file and the bytes it needs.
    """
    temporary = write_temporary(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        _discard(temporary)
        raise
    sync_folder(path.parent)


def read_small(path: Path, most: int) -> bytes:
    """Contents of a regular file of at most ``most`` bytes; devices, pipes and folders are not waited for.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or a larger one.
    """
    state = path.stat()
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no regular file")
    if state.st_size > most:
        raise ValueError(f"it has {state.st_size:,} bytes, more than the {most:,} that such a file may have")
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, os.O_RDONLY | flags), "rb") as file:  # a pipe put there now would make us wait
        return file.read(most)


def write_temporary(path: Path, data: bytes) -> Path:
    """Write ``data`` to the disk under a name of its own beside ``path``, for the caller to rename; that name.

    Raises:
        OSError: the disk refuses; nothing is left.
    """
    with naming_space(path, len(data)):
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            try:
                _write_all(fd, data)
                if hasattr(os, "fchmod"):  # mkstemp's files are the owner's alone; Windows has no such modes
                    os.fchmod(fd, 0o666 & ~_umask())
                os.fsync(fd)
            finally:
                os.close(fd)
        except BaseException:
            _discard(Path(name))
            raise
    return Path(name)


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # a second fault must not hide the first; the next lock sweeps up leftovers
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())


def append(path: Path, data: bytes, size: int) -> None:
    """Append ``data`` to a file of ``size`` bytes in one durable write; a file that is not there is made.

    Raises:
        DataError: it is no regular file of that size.
        OSError: the disk refuses; part of ``data`` may have been written.
    """
    with naming_space(path, len(data)):
        fd = _quiet_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            found = _regular(fd, path).st_size
            if found != size:
                raise DataError(f"{path} has {found:,} bytes where {size:,} were written: another process changed it")
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)


def overwrite(path: Path, data: bytes) -> None:
    """Replace the content of a small file in place, for a file whose identity matters, such as a lock.

    Raises:
        DataError: it is no regular file.
        OSError: the disk refuses.
    """
    with naming_space(path, len(data)):
        fd = _quiet_open(path, os.O_WRONLY | os.O_CREAT)
        try:
            _regular(fd, path)
            os.ftruncate(fd, 0)
            _write_all(fd, data)
        finally:
            os.close(fd)


def read_regular(path: Path, most: int, size: int | None = None) -> bytes:
    """The bytes of a regular file; of a file that grows meanwhile, those it had when it was opened.

    Args:
        path: the file; a link there is refused.
        most: bytes beyond which nothing is read.
        size: bytes that it must have, where that is known.

    Raises:
        MissingFile: a DataError; there is none.
        DataError: it is no regular file, has another size, or cannot be read.
    """
    with _opened(path) as (fd, found):
        if size is not None and found != size:
            raise DataError(f"{path} is corrupt or truncated: it has {found:,} bytes where {size:,} were written")
        if found > most:
            raise DataError(f"{path} is no file of ours: it has {found:,} bytes, more than the {most:,} allowed")
        return _read_all(fd, found)


def read_head(path: Path, n_bytes: int) -> tuple[bytes, int]:
    """The first bytes of a regular file, at most ``n_bytes``, and the size of all of it.

    Raises:
        MissingFile, DataError: as ``read_regular``.
    """
    with _opened(path) as (fd, found):
        return _read_all(fd, min(found, n_bytes)), found


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """A regular file opened for reading: its descriptor and its size.

    Raises:
        MissingFile: a DataError; there is none.
        DataError: it is no regular file, has another size, or cannot be read.
    """
    try:
        fd = _quiet_open(path, os.O_RDONLY)
    except FileNotFoundError as error:
        raise MissingFile(f"{path} cannot be read: {error.strerror}") from error
    except OSError as error:
        what = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise DataError(f"{path} cannot be read: {what}") from error
    except ValueError as error:  # a name with NUL
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error
    try:
        found = _regular(fd, path).st_size
        yield fd, found
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)


def check_plain(path: Path) -> None:
    """Refuse a name that is taken by something else than a regular file; the file itself is not opened.

    Raises:
        DataError: there is a link, a folder, a pipe or a device.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is {'a link' if stat.S_ISLNK(mode) else 'not a regular file'}")


def is_there(path: Path) -> bool:
    """Whether anything has this name, even a dangling link."""
    return os.path.lexists(path)


def own_folder(path: Path) -> Path:
    """``path``, a folder that is no link.

    Raises:
        MissingFile: there is none.
        DataError: it is something else.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError as error:
        raise MissingFile(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise DataError(f"{path} is {'a link' if stat.S_ISLNK(mode) else 'no folder'}: move it away; nothing was read")
    return path


def signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written to; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where the system lets a folder be opened: Windows does not."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def naming_space(path: Path, n_bytes: int) -> Iterator[None]:
    """Let an error of a full disk name the file and how many bytes it needs."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in NO_SPACE:
            raise
        try:
            left = f"; {shutil.disk_usage(path.parent).free:,} are free"
        except OSError:
            left = ""
        text = f"{os.strerror(error.errno)}: {path} needs {n_bytes:,} bytes{left}; make room and run again"
        raise OSError(error.errno, text) from error


def _quiet_open(path: Path, flags: int) -> int:
    """A descriptor of a file; a link is refused with ELOOP, and nothing is waited for."""
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, flags | QUIET_OPEN, 0o666)


def _regular(fd: int, path: Path) -> os.stat_result:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path} is not a regular file")
    return found


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _read_all(fd: int, n_bytes: int) -> bytes:
    pieces, left = [], n_bytes
    while left:
        piece = os.read(fd, left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
