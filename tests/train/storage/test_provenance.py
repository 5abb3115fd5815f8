"""Asking git for provenance leaves the repository unchanged, also while others work in it."""

import os
import subprocess
from pathlib import Path

import pytest


def git(folder: Path, *args: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *names, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with an outdated index, which git would rewrite if allowed."""
    (tmp_path / "train").mkdir()
    file = tmp_path / "train/a.py"
    file.write_text("a = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    os.utime(file, ns=(10**18, 10**18))
    return tmp_path


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    folders = {str(path): (path.stat().st_mtime_ns, b"") for path in folder.rglob("*") if path.is_dir()}
    return folders | {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("is_locked", [False, True])
def test_the_repository_is_left_alone(repository, is_locked):
    from train.storage.provenance import git_state

    if is_locked:
        (repository / ".git/index.lock").write_bytes(b"")
    before = everything(repository)
    found = git_state(repository / "train")
    assert found is not None and len(found["commit"]) == 40 and found["dirty"] is False
    (repository / "train/a.py").write_text("a = 2\n")
    changed = git_state(repository / "train")
    assert changed is not None and changed["dirty"] is True
    after = everything(repository)
    assert {name for name in after if before.get(name) != after[name]} == {str(repository / "train/a.py")}


def test_the_control_git_alone_rewrites_the_index(repository):
    before = everything(repository)
    git(repository, "status")
    assert everything(repository) != before


def test_variables_of_a_hook_and_watchers_of_files_do_not_matter(repository, monkeypatch, tmp_path):
    from train.storage.provenance import git_state

    mark = tmp_path / "watcher-was-asked"
    git(repository, "config", "core.fsmonitor", f"touch {mark}; sleep 60 #")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    found = git_state(repository / "train")
    assert found is not None
    assert not mark.exists()


def test_elsewhere_there_is_none(tmp_path):
    from train.storage.provenance import git_state

    (tmp_path / "train").mkdir()
    assert git_state(tmp_path / "train") is None
