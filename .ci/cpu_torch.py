"""Install PyTorch's CPU build where no GPU is seen: 0.2 GB in place of the CUDA build's 6 GB.

Does nothing where there is a GPU, on another system than Linux (the plain build is the CPU's there), where torch is
installed, or where pip has an index of its own. Where PyTorch's index does not answer within seconds, one line says so,
and the plain install that follows takes torch from pip's usual index. Never fails: the exit status is always 0.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

INDEX = os.environ.get("TORCH_CPU_INDEX", "https://download.pytorch.org/whl/cpu")
PATIENCE_S = 5.0
CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"


def has_gpu() -> bool:
    """Whether NVIDIA's tool lists a device."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True, check=False).returncode == 0


def has_torch() -> bool:
    """Whether torch is installed already."""
    try:
        importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def pip_setting(name: str) -> str:
    """The value of a setting of pip, from its environment variable or its files; empty where there is none."""
    if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return value
    for section in ("install", "global"):
        argv = [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return ""


def answers(index: str) -> bool:
    """Whether the index lists torch within the patience, name resolution included."""
    heard: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=PATIENCE_S) as reply:
                heard.append(reply.status == 200)
        except (OSError, ValueError):
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return heard == [True]


def main() -> None:
    """Install the CPU build, or say in one line why not."""
    if platform.system() != "Linux" or has_torch() or has_gpu():
        return
    if pip_setting("index-url") or pip_setting("no-index"):
        return
    if not answers(INDEX):
        print(f"no GPU, but {INDEX} does not answer: the plain install takes PyTorch's default build", file=sys.stderr)
        return
    print(f"no GPU: taking PyTorch's CPU build from {INDEX}", file=sys.stderr)
    options = ["-q", "--disable-pip-version-check", "--no-deps", "-c", str(CONSTRAINTS), "--index-url", INDEX]
    if subprocess.run([sys.executable, "-m", "pip", "install", *options, "torch"], check=False).returncode:
        print("that failed: the plain install takes PyTorch's default build", file=sys.stderr)


if __name__ == "__main__":
    main()
