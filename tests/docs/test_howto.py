"""The cost of a newcomer's change: each example of CONTRIBUTING.md applies to the tree, and its own tests pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((ROOT / "tests/fixtures/howto").glob("*.patch"))
COSTS = {
    "operation": (3, 3),
    "measure": (3, 3),
    "section": (4, 5),
    "intervention": (5, 6),
    "architecture": (4, 5),
    "layout": (5, 5),
    "task": (5, 8),
    "page": (3, 4),
}
"""Files and places at most, by kind of change."""
ALSO = ("tests/train/algebra/test_operations.py", "tests/docs/test_tables.py")
"""Tests of the tree that go over every operation and every generated table."""
TREE = ("train", "interp", "tests", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md")


def copied(folder: Path) -> Path:
    """Copy the tree into ``folder``."""
    leave = shutil.ignore_patterns("__pycache__", ".*", "images", "site")
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def applied(folder: Path, patch: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", *flags, str(patch)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_there_is_an_example_for_every_kind_of_change():
    assert {path.stem for path in PATCHES} == set(COSTS)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_a_change_costs_what_the_table_says(path, tables):
    files, places = tables.touched(path.read_text())
    assert files <= COSTS[path.stem][0] and places <= COSTS[path.stem][1], (files, places)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_each_example_applies_to_the_tree_as_it_is(path, tmp_path):
    done = applied(copied(tmp_path), path, "--check")
    assert done.returncode == 0, f"the code around the example has changed: {done.stderr}"


def test_the_examples_work(tmp_path):
    """With all examples applied to one copy, their own tests and those that go over every registry pass."""
    folder, tests = copied(tmp_path), list(ALSO)
    for path in PATCHES:
        assert applied(folder, path).returncode == 0
        added = [name for name in re.findall(r"(?m)^\+\+\+ b/(tests/\S+)$", path.read_text()) if "/test_" in name]
        assert added or path.stem == "operation", "an example comes with its test"
        tests += added
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    command += ["-W", "ignore:two packages"]  # an editable installation and the copy
    # without NUMBA_DISABLE_JIT the copy would compile everything anew
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]


def test_control_a_patch_that_does_not_fit_is_seen(tmp_path):
    (tmp_path / "a").write_text("something else\n")
    (tmp_path / "x.patch").write_text("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a\n+b\n")
    assert applied(tmp_path, tmp_path / "x.patch").returncode != 0
