"""Provenance of a training session: versions, commit, machine and command."""

import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("groklens", "torch", "transformer-lens", "safetensors", "numpy")


def session_info(
    device: str, threads: int, command: list[str], from_step: int, taken: Mapping[str, str]
) -> dict[str, Any]:
    """A JSON-serialisable record of a session; ``taken`` names the pass and the setting that excluded faster ones."""
    return {
        "command": shlex.join(command),
        "from_step": from_step,
        "device": device,
        "threads": threads,
        **taken,
        "host": socket.gethostname(),
        "cpu": cpu_name(),
        "gpu": gpu_name(device),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions(),
        "git": git_state(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that affect numbers."""
    by_name = {}
    for name in PACKAGES:
        try:
            by_name[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            by_name[name] = "not installed"
    return by_name


def git_state(folder: Path = Path(__file__).parent) -> dict[str, Any] | None:
    """Commit of the checkout that contains ``folder``, and whether it has uncommitted changes; None if not a checkout.

    The git commands write nothing and take no lock of the repository.
    """
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
        if Path(top) != folder.parent:
            return None
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": _git(folder, "status", "--porcelain") != ""}
    except (OSError, subprocess.SubprocessError):
        return None


def cpu_name() -> str:
    """The processor's name as reported by the system."""
    info = Path("/proc/cpuinfo")
    if sys.platform == "linux" and info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def gpu_name(device: str) -> str | None:
    """The GPU's name and PyTorch's CUDA version; None if the device is not a GPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def _git(folder: Path, *args: str) -> str:
    """The output of a git command that takes no lock to refresh the index and starts no file watcher.

    Variables such as GIT_DIR, which git sets in hooks and which may point to another repository, are removed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *args]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=10,
    )
    return os.fsdecode(done.stdout).strip()
