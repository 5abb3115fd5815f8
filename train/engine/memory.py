"""How much memory is free, and refusing what does not fit."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import UsageError

if TYPE_CHECKING:
    import torch

FREE_SHARE = 0.8
"""Share of the free memory that a run or a stack may take."""


def check_fits(need: int, what: str, less: str) -> None:
    """Refuse a computation that needs more bytes than the machine has free; ``what`` names it, ``less`` the settings.

    Raises:
        UsageError: with the settings to lower.
    """
    free = free_bytes()
    if need > FREE_SHARE * free:
        raise UsageError(
            f"{what} needs {need / 1e9:.3g} GB of memory, of which {free / 1e9:.1f} are free: lower {less}"
        )


def free_bytes(device: "torch.device | None" = None) -> int:
    """Free memory of a GPU, or of the machine, in bytes (all of it, where the system does not tell what is free)."""
    if device is not None and device.type == "cuda":
        import torch

        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch's own, unused
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
    """Free memory as Windows tells it (GlobalMemoryStatusEx); all that can be addressed on any other system."""
    import ctypes

    kernel: Any = getattr(ctypes, "windll", None)
    if kernel is None:
        return sys.maxsize
    status = (ctypes.c_uint64 * 8)()  # two 32-bit numbers (the structure's length, the load), then seven of 64 bits
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    kernel.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status[2])  # ullAvailPhys
