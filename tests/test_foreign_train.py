"""The guard against other packages called ``train`` or ``interp``, and the workaround that its message gives."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KINDS = {
    "package": lambda folder, name: (folder / name / "__init__.py", folder / name),
    "module": lambda folder, name: (folder / f"{name}.py", folder / f"{name}.py"),
}


def python(folder, path, code):
    script = f"import sys\nsys.path[:0] = {path!r}\n{code}"
    return subprocess.run([sys.executable, "-P", "-c", script], cwd=folder, capture_output=True, text=True)


def make_foreign(folder, kind="package", name="train"):
    """Make another package or module called ``name`` in ``folder``; returns its name in messages."""
    file, called = KINDS[kind](folder, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    return called


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["train", "interp"])
def test_another_package_behind_ours_is_warned_of_with_both_paths(tmp_path, kind, name):
    other = make_foreign(tmp_path, kind, name)
    done = python(tmp_path, [str(ROOT), str(tmp_path)], "from train import RunConfig")
    assert done.returncode == 0
    assert f"two packages are called '{name}': groklens's {ROOT / name} and {other};" in done.stderr
    assert python(tmp_path, [str(ROOT)], "import train").stderr == ""  # control


ENTRIES = {
    "open_run": "from interp import open_run",
    "the report's script": "from interp.report import main; main(['--help'])",
    "the importers' script": "from interp.importers.__main__ import main; main(['--help'])",
    "the measures' script": "from interp.measures.__main__ import main; main(['--help'])",
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", KINDS)
def test_another_train_before_ours_is_refused_with_a_way_out(tmp_path, entry, kind):
    other = make_foreign(tmp_path, kind)
    path = [str(tmp_path), str(ROOT)]
    done = python(tmp_path, path, ENTRIES[entry])
    line = done.stderr.splitlines()[-1]
    assert line.startswith("ImportError: the package 'train' that Python finds is ")
    assert repr(str(other)) in line and repr(str(ROOT / "train")) in line
    cure = line.split("or begin with: ")[1]
    first = f"try:\n    {ENTRIES[entry]}\nexcept ImportError:\n    {cure}\n"  # in the same process, as in a notebook
    cured = python(tmp_path, path, first + "from interp import open_run; from train import train; print('cured')")
    assert cured.stdout.endswith("cured\n"), cured.stderr


def test_modules_as_commands_say_it_in_one_line(tmp_path):
    make_foreign(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "interp.report", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert re.match(r"error: the package 'train' that Python finds is .*, not groklens's", done.stderr)
    script = "sys.argv = ['/bin/groklens-report', '--help']\nfrom interp.report import main"
    done = python(tmp_path, [str(tmp_path), str(ROOT)], script)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: the package")


def test_the_words_hold_no_character_that_a_terminal_obeys(tmp_path):
    folder = tmp_path / "a\x1b[31m"
    make_foreign(folder)
    assert "\x1b" not in python(tmp_path, [str(folder), str(ROOT)], "import interp").stderr
    assert "\x1b" not in python(tmp_path, [str(ROOT), str(folder)], "import train").stderr


def test_lazy_names():
    from train import OPERATIONS, RunConfig, train
    from train.call import train as call

    assert train is call
    assert RunConfig().task.op in OPERATIONS
