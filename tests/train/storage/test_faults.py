"""A fault at every file call of a short run: nothing is lost, and the run goes on as if there had been none.

The calls of a session are counted first; then each call fails in a session of its own, and a further session without
faults must leave the files of a run that met none.
"""

import errno
import os
import shutil

import pytest
from tiny_states import config_of, quick, stop_after, train_on, tree_of

CALLS = ("open", "read", "write", "fsync", "replace", "rename", "unlink", "mkdir", "fchmod", "ftruncate")
STEPS = 3


class Faulty:
    """A counter of the file calls of this process, which fails the call numbered ``at``."""

    def __init__(self, monkeypatch, at: int = -1, number: int = errno.EIO) -> None:
        self.names: list[str] = []
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name), at, number))

    def _wrapped(self, name, real, at, number):
        def call(*args, **kwargs):
            self.names.append(name)
            if len(self.names) - 1 == at:
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call


def numbers(root) -> dict[str, bytes]:
    """Files of a run that are equal however many sessions wrote them."""
    (path,) = root.iterdir()
    told = ("run.json", "LOCK", "DONE", "resume.safetensors", "resume.previous.safetensors")
    return {name: data for name, data in tree_of(path).items() if name not in told}


def started(root) -> None:
    """Make a run stopped at step 2, so that a session reads and repairs before it goes on."""
    from train.errors import Stopped

    root.mkdir()
    with pytest.raises(Stopped):
        train_on(root, config_of(STEPS), stop_signal=stop_after(2))


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("begin", [lambda root: root.mkdir(), started], ids=["new", "resumed"])
def test_a_fault_at_every_file_call(tmp_path, begin, half, monkeypatch):
    from train.errors import DataError

    with quick():
        begin(tmp_path / "begun")
        shutil.copytree(tmp_path / "begun", tmp_path / "whole")
        with monkeypatch.context() as patch:
            names = Faulty(patch).names
            train_on(tmp_path / "whole", config_of(STEPS))
        expected, felt = numbers(tmp_path / "whole"), 0
        assert len(names) > 60 and {"open", "read", "write", "fsync", "replace"} <= set(names)
        for at in range(half, len(names), 2):
            root, number = tmp_path / f"{at}", (errno.EIO, errno.ENOSPC)[at // 2 % 2]
            shutil.copytree(tmp_path / "begun", root)
            with monkeypatch.context() as patch:
                Faulty(patch, at, number)
                try:
                    notes = train_on(root, config_of(STEPS))  # a state that cannot be read is said, and done without
                    felt += bool(notes)
                except (OSError, DataError) as error:
                    felt += 1
                    if number == errno.ENOSPC and names[at] in ("write", "fsync"):
                        assert "needs" in str(error) or names[at] == "fsync", error
            train_on(root, config_of(STEPS))
            assert numbers(root) == expected, (at, names[at])
            assert not list(root.rglob("*.tmp"))
    assert felt > 0.4 * len(names)  # control
