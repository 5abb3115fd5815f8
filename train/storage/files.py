"""Atomic writing of files, and reading of regular files of limited size.

No function of this module follows a symbolic link in the last component of a path, or blocks on a pipe or a device
(``read_small`` follows links, for files that the user names).
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
"""Flags for ``os.open`` that refuse symbolic links and do not block on named pipes."""
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):  # Windows has only the last
    QUIET_OPEN |= getattr(os, _name, 0)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically: exclusive temporary file, fsync, rename, fsync of the folder.

    Raises:
        OSError: the write failed; an earlier file at ``path`` is untouched. If the disk is full, the message names the
            file and the bytes needed.
    """
    temporary = write_temporary(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        _discard(temporary)
        raise
    sync_folder(path.parent)


def read_small(path: Path, most: int) -> bytes:
    """The contents of a regular file of at most ``most`` bytes; devices, pipes and folders are refused without waiting.

    Raises:
        OSError: the file cannot be read.
        ValueError: the path is not a regular file, or the file is larger.
    """
    state = path.stat()
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no regular file")
    if state.st_size > most:
        raise ValueError(f"it has {state.st_size:,} bytes, more than the {most:,} that such a file may have")
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    # non-blocking, in case a pipe has just replaced the file
    with os.fdopen(os.open(path, os.O_RDONLY | flags), "rb") as file:
        return file.read(most)


def write_temporary(path: Path, data: bytes) -> Path:
    """Write ``data`` to a temporary file in the folder of ``path``. Returns its path, for the caller to rename.

    Raises:
        OSError: the write failed; no file is left behind.
    """
    with naming_space(path, len(data)):
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            try:
                _write_all(fd, data)
                if hasattr(os, "fchmod"):  # mkstemp creates files with mode 0600; Windows has no modes
                    os.fchmod(fd, 0o666 & ~_umask())
                os.fsync(fd)
            finally:
                os.close(fd)
        except BaseException:
            _discard(Path(name))
            raise
    return Path(name)


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # must not mask the original error; the next lock removes leftovers
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())


def append(path: Path, data: bytes, size: int) -> None:
    """Append ``data`` durably to a file of ``size`` bytes, which is created if missing.

    Raises:
        DataError: the file is not a regular file of that size.
        OSError: the write failed; part of ``data`` may have been written.
    """
    with naming_space(path, len(data)):
        fd = _quiet_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            on_disk = _regular(fd, path).st_size
            if on_disk != size:
                raise DataError(f"{path} has {on_disk:,} bytes where {size:,} were written: another process changed it")
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)


def overwrite(path: Path, data: bytes) -> None:
    """Replace the content of a small file in place, for a file whose identity matters, such as a lock.

    Raises:
        DataError: the path is not a regular file.
        OSError: the write failed.
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
    """The bytes of a regular file, as many as it had when it was opened.

    Args:
        path: the file; symbolic links are refused.
        most: upper limit on the size in bytes.
        size: expected size in bytes, if known.

    Raises:
        MissingFile: there is no such file.
        DataError: the path is not a regular file, has another size, or cannot be read.
    """
    with _opened(path) as (fd, on_disk):
        if size is not None and on_disk != size:
            raise DataError(f"{path} is corrupt or truncated: it has {on_disk:,} bytes where {size:,} were written")
        if on_disk > most:
            raise DataError(f"{path} is no file of ours: it has {on_disk:,} bytes, more than the {most:,} allowed")
        return _read_all(fd, on_disk)


def read_head(path: Path, n_bytes: int) -> tuple[bytes, int]:
    """The first bytes of a regular file, at most ``n_bytes``, and the size of the whole file.

    Raises:
        MissingFile, DataError: as in ``read_regular``.
    """
    with _opened(path) as (fd, size):
        return _read_all(fd, min(size, n_bytes)), size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """A context with a regular file opened for reading. Yields the descriptor and the size.

    Raises:
        MissingFile: there is no such file.
        DataError: the path is not a regular file, or cannot be read.
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
        yield fd, _regular(fd, path).st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)


def check_plain(path: Path) -> None:
    """Refuse a path that exists but is not a regular file; the file itself is not opened.

    Raises:
        DataError: the path is a link, a folder, a pipe or a device.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is {'a link' if stat.S_ISLNK(mode) else 'not a regular file'}")


def is_there(path: Path) -> bool:
    """Whether the path exists, even as a dangling link."""
    return os.path.lexists(path)


def own_folder(path: Path) -> Path:
    """``path``, checked to be a folder and not a link.

    Raises:
        MissingFile: the path does not exist.
        DataError: the path is a link or not a folder.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError as error:
        raise MissingFile(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise DataError(f"{path} is {'a link' if stat.S_ISLNK(mode) else 'no folder'}: move it away; nothing was read")
    return path


def signature(path: Path) -> tuple[int, int, int] | None:
    """A tuple that changes when a file is replaced or written to; None if there is no file."""
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable; without effect on Windows, which cannot open folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def naming_space(path: Path, n_bytes: int) -> Iterator[None]:
    """A context in which the error of a full disk names the file and the bytes needed."""
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
    """Open a file without blocking and return the descriptor; symbolic links fail with ELOOP."""
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, flags | QUIET_OPEN, 0o666)


def _regular(fd: int, path: Path) -> os.stat_result:
    state = os.fstat(fd)
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path} is not a regular file")
    return state


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
