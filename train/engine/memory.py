"""What fits in memory."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from train.errors import UsageError

if TYPE_CHECKING:
    import torch

FREE_SHARE = 0.8
"""Share of the free memory that we may take."""


def check_fits(need: int, what: str, less: str) -> None:
    """Refuse what needs more bytes than the machine has free.

    Raises:
        UsageError: naming what to lower.
    """
    free = free_bytes()
    if need > FREE_SHARE * free:
        raise UsageError(
            f"{what} needs {need / 1e9:.3g} GB of memory, of which {free / 1e9:.1f} are free: lower {less}"
        )


def free_bytes(device: "torch.device | None" = None) -> int:
    """Free memory of a device, or of the machine (all of it, where the system does not say what is free)."""
    if device is not None and device.type == "cuda":
        import torch

        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch's own, unused
        return torch.cuda.mem_get_info(device)[0] + cached
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
