"""Where numbers come from: versions, commit, machine and command of a session."""

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
    """A JSON-able record of a training session; ``taken`` names the pass and the setting that ruled out faster ones."""
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
    """Versions of the packages whose arithmetic matters."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_state(folder: Path = Path(__file__).parent) -> dict[str, Any] | None:
    """The commit of the checkout that contains the package ``folder``, and whether it has changes; None without one.

    Nothing is written in the repository, and no lock of the repository is waited for.
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
    """The processor's name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    if sys.platform == "linux" and info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def gpu_name(device: str) -> str | None:
    """The GPU's name and the CUDA version that PyTorch was built for; None for another device."""
    if not device.startswith("cuda"):
        return None
    import torch

    return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"


def _git(folder: Path, *args: str) -> str:
    """The output of a git command, which takes no lock to refresh the index and starts no file watcher.

    Variables such as GIT_DIR, which git sets for its hooks, would name another repository.
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
