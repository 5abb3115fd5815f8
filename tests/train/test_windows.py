"""Nothing that Windows lacks is required: training works without POSIX names and with folders that do not open."""

import subprocess
import sys
from pathlib import Path

import pytest
from commanding import TINY

ROOT = Path(__file__).parents[2]
OF_POSIX = """
O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_DIRECTORY O_SYNC fchmod fchown chown sysconf uname getuid geteuid getpgid setsid fork
forkpty wait waitid mkfifo openpty statvfs sched_getaffinity getloadavg killpg posix_fallocate pread pwrite nice
""".split()
SIGNALS = "SIGUSR1 SIGUSR2 SIGHUP SIGQUIT SIGALRM SIGCHLD SIGKILL SIGSTOP SIGTSTP SIGCONT SIGPIPE setitimer".split()
MODULES = "fcntl resource termios pty tty pwd grp posix".split()
SCRIPT = """
import os, shutil, signal, sys, tempfile, types
from pathlib import Path
if {train}:
    import filelock, numba, rich.progress, safetensors.torch, scipy.linalg  # theirs, which may ask for anything
    import torch._dynamo, transformer_lens, tyro

def without(module, names):
    made = types.ModuleType(module.__name__)
    made.__dict__.update({{name: value for name, value in vars(module).items() if name not in names}})
    return made

real = os.open
def opened(path, flags, *rest, **how):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real(path, flags, *rest, **how)

sys.modules["os"] = without(os, {of_posix!r})
sys.modules["os"].open = opened
sys.modules["signal"] = without(signal, {signals!r})
sys.modules.update(dict.fromkeys({modules!r}))
assert not hasattr(__import__("os"), "fchmod")

exists = Path.exists
Path.exists = lambda self: False if str(self).startswith("/proc") else exists(self)

if {train}:
    from train.run import main
    from train.runs import main as runs
    flags = [*{tiny!r}, "--out", {out!r}]
    assert main(flags) == 0
    assert main([*flags, "--steps", "4"]) == 0
    assert runs([{out!r}, "--verify"]) == 0
    assert runs([*map(str, Path({out!r}).iterdir()), "--keep-last", "--yes"]) == 0
from train.storage import files
try:
    {fault}
    print("no fault")
except Exception as error:
    print(type(error).__name__, error)
"""


def hidden(out, fault, train):
    fill = {"of_posix": OF_POSIX, "signals": SIGNALS, "modules": MODULES, "tiny": TINY, "out": str(out)}
    fill |= {"fault": fault, "train": train}
    return subprocess.run(
        [sys.executable, "-P", "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + SCRIPT.format(**fill)],
        cwd=out.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_run_is_trained_resumed_verified_and_thinned(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    done = hidden(tmp_path / "out", "files.read_regular(Path('link'), 9)", train=True)
    assert done.returncode == 0, done.stderr
    assert "from step 2 to step 4" in done.stderr
    (path,) = (tmp_path / "out").iterdir()
    assert {"run.json", "manifest.json", "DONE", "LOCK"} <= {one.name for one in path.iterdir()}
    assert done.stdout.splitlines()[-1] == "DataError link cannot be read: it is a link"


def test_the_hidden_names_would_be_missed(tmp_path):
    """A module that uses a hidden name fails (the control)."""
    done = hidden(tmp_path / "out", "print(files.os.fchmod)", train=False)
    assert done.stdout.splitlines()[-1] == "AttributeError module 'os' has no attribute 'fchmod'"


def test_no_name_of_posix_alone_is_used_without_asking_for_it():
    """In the source each POSIX-only name has a ``hasattr`` or ``getattr`` on its line or the line before."""
    for path in [*ROOT.glob("train/**/*.py"), *ROOT.glob("interp/**/*.py")]:
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            for name in (*OF_POSIX, *SIGNALS):
                if f"os.{name}" in line or f"signal.{name}" in line:
                    near = " ".join(lines[max(0, i - 2) : i + 1])
                    assert f'(os, "{name}"' in near, f"{path}:{i + 1}: {line.strip()}"


@pytest.mark.skipif(sys.platform == "win32", reason="a control on POSIX")
def test_free_memory_is_known_here():
    from train.engine.memory import free_bytes

    assert 10**8 < free_bytes() < 10**13
