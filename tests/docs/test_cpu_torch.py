"""`make` takes PyTorch's CPU build where no GPU is seen; a local server replaces PyTorch's index."""

import http.server
import importlib.util
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / ".ci/cpu_torch.py"


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def index(tmp_path) -> Path:
    """A package index that holds an empty torch of the version in constraints.txt."""
    lines = (SCRIPT.parent.parent / "constraints.txt").read_text().splitlines()
    version = next(line for line in lines if line.startswith("torch==")).removeprefix("torch==") + "+cpu"
    folder = tmp_path / "index/torch"
    folder.mkdir(parents=True)
    name = f"torch-{version}-py3-none-any.whl"
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("torch/__init__.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(f'<!doctype html><a href="{name}">{name}</a>')
    return folder.parent


def run(tmp_path: Path, address: str, has_gpu: bool = False, **more: str) -> tuple[list[str], list[str], float]:
    """The script's installed packages, output and seconds, in an environment without torch."""
    tools, target = tmp_path / "bin", tmp_path / "target"
    tools.mkdir(exist_ok=True)
    tool = tools / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nexit {0 if has_gpu else 9}\n")
    tool.chmod(0o755)
    # pip is found, torch is not: packages of this environment are left out but for pip's own folder
    empty = tmp_path / "empty"
    empty.mkdir(exist_ok=True)
    pip = importlib.util.find_spec("pip")
    assert pip is not None and pip.origin is not None
    if not (empty / "pip").exists():
        (empty / "pip").symlink_to(Path(pip.origin).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = kept | {"PATH": f"{tools}:/usr/bin:/bin", "PYTHONPATH": str(empty), "TORCH_CPU_INDEX": address}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_TARGET": str(target), "NO_PROXY": "127.0.0.1"} | more
    start = time.monotonic()
    argv = [sys.executable, "-S", str(SCRIPT)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    installed = sorted(p.name for p in target.iterdir() if p.suffix == ".dist-info") if target.exists() else []
    return installed, done.stderr.splitlines(), time.monotonic() - start


@pytest.mark.skipif(sys.platform != "linux", reason="the plain build is the CPU's elsewhere")
class TestOnLinux:
    def test_without_a_gpu_the_index_is_asked(self, index, tmp_path):
        with served(index) as address:
            installed, said, _ = run(tmp_path, address)
        assert [name.split("-")[0] for name in installed] == ["torch"] and installed[0].endswith("+cpu.dist-info")
        assert said == [f"no GPU: taking PyTorch's CPU build from {address}"]

    def test_where_nothing_answers_one_line_says_so_within_seconds(self, tmp_path):
        installed, said, seconds = run(tmp_path, "http://127.0.0.1:9")
        assert installed == [] and seconds < 15
        assert said == [
            "no GPU, but http://127.0.0.1:9 does not answer: the plain install takes PyTorch's default build"
        ]

    def test_an_index_that_accepts_and_stays_silent_is_left_after_seconds(self, tmp_path):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}"
            installed, said, seconds = run(tmp_path, address)
        assert installed == [] and len(said) == 1 and "does not answer" in said[0] and seconds < 15

    def test_with_a_gpu_or_an_index_of_ones_own_nothing_is_asked(self, index, tmp_path):
        with served(index) as address:
            assert run(tmp_path, address, has_gpu=True)[:2] == ([], [])
            assert run(tmp_path, address, PIP_INDEX_URL="http://127.0.0.1:9/simple")[:2] == ([], [])
            assert run(tmp_path, address, PIP_NO_INDEX="1")[:2] == ([], [])

    def test_an_index_without_this_version_is_left_for_the_plain_install(self, index, tmp_path):
        for wheel in index.rglob("*.whl"):
            wheel.rename(wheel.with_name("torch-0.1-py3-none-any.whl"))
        (index / "torch/index.html").write_text('<a href="torch-0.1-py3-none-any.whl">torch-0.1-py3-none-any.whl</a>')
        with served(index) as address:
            installed, said, _ = run(tmp_path, address)
        assert installed == [] and said[-1] == "that failed: the plain install takes PyTorch's default build"
