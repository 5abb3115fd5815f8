"""The guard against another package called ``train``."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(folder, path, code):
    script = f"import sys\nsys.path[:0] = {path!r}\n{code}"
    return subprocess.run([sys.executable, "-P", "-c", script], cwd=folder, capture_output=True, text=True)


def make_foreign(folder):
    (folder / "train").mkdir()
    (folder / "train/__init__.py").write_text("")
    return str(folder)


def test_another_train_on_the_path_is_warned_of_with_both_paths(tmp_path):
    foreign = make_foreign(tmp_path)
    done = python(tmp_path, [str(ROOT), foreign], "import train")
    assert done.returncode == 0
    assert str(ROOT / "train") in done.stderr
    assert str(tmp_path / "train") in done.stderr
    assert python(tmp_path, [str(ROOT)], "import train").stderr == ""  # control


def test_reading_with_another_train_is_refused(tmp_path):
    foreign = make_foreign(tmp_path)
    done = python(tmp_path, [foreign, str(ROOT)], "from interp import open_run")
    assert str(tmp_path / "train") in done.stderr.splitlines()[-1]
    assert str(ROOT / "train") in done.stderr.splitlines()[-1]


def test_lazy_names():
    from train import OPERATIONS, RunConfig, train
    from train.engine.loop import train as engine_train

    assert train is engine_train
    assert RunConfig().task.op in OPERATIONS
