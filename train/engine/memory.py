"""Free memory, and refusal of computations that do not fit."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import UsageError

if TYPE_CHECKING:
    import torch

FREE_SHARE = 0.8
"""Fraction of the free memory that a run or a stack may use."""


def check_fits(need: int, what: str, less: str) -> None:
    """Refuse the computation ``what`` if its ``need`` in bytes exceeds the free memory.

    Raises:
        UsageError: the memory does not suffice; the message names the settings to lower, ``less``.
    """
    free = free_bytes()
    if need > FREE_SHARE * free:
        raise UsageError(
            f"{what} needs {need / 1e9:.3g} GB of memory, of which {free / 1e9:.1f} are free: lower {less}"
        )


def free_bytes(device: "torch.device | None" = None) -> int:
    """Free memory of a GPU or of the machine, in bytes; total memory if the system does not report free memory."""
    if device is not None and device.type == "cuda":
        import torch

        # PyTorch's allocator keeps freed memory reserved
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _windows_bytes()


def _windows_bytes() -> int:
    """Free memory reported by Windows (GlobalMemoryStatusEx), in bytes; ``sys.maxsize`` on any other system."""
    import ctypes

    kernel: Any = getattr(ctypes, "windll", None)
    if kernel is None:
        return sys.maxsize
    status = (ctypes.c_uint64 * 8)()  # two 32-bit numbers (the structure's length, the load), then seven of 64 bits
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status[2])  # ullAvailPhys
