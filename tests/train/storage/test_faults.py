"""A fault at every file call of a short run: nothing is lost, and the run goes on as if there had been none.

The calls of a session are counted first; then each call fails in a session of its own, and a further session without
faults must leave the files of a run that met none.
"""

import errno
import os
import shutil
import traceback
from pathlib import Path

import pytest
from tiny_states import config_of, quick, stop_after, train_on, tree_of

TRAIN = str(Path(__file__).parents[3] / "train") + os.sep
CALLS = ("open", "read", "write", "fsync", "replace", "rename", "unlink", "mkdir", "fchmod", "ftruncate")
STEPS = 3
SHORT = 1
"""Steps of a new run: a longer one makes the same calls from the same lines, only more often."""


class Faulty:
    """A counter of the file calls of this process, which fails the call numbered ``at``."""

    def __init__(self, monkeypatch, at: int = -1, number: int = errno.EIO) -> None:
        self.names: list[str] = []
        self.places: set[tuple] = set()
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name), at, number))

    def _wrapped(self, name, real, at, number):
        def call(*args, **kwargs):
            self.names.append(name)
            if at < 0:
                self.places.add((name, *lines_of_train()))
            if len(self.names) - 1 == at:
                raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call


def lines_of_train() -> list[tuple[str, int]]:
    """Files and lines of our own functions that are being called."""
    frames = (frame for frame, _ in traceback.walk_stack(None))
    places = ((frame.f_code.co_filename, frame.f_lineno) for frame in frames)
    return [place for place in places if TRAIN in place[0]]


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


def new(root) -> None:
    root.mkdir()


def test_a_new_run_of_one_step_makes_every_call_of_a_longer_one(tmp_path):
    places = []
    for steps in (SHORT, STEPS):
        (tmp_path / f"{steps}").mkdir()
        with quick(), pytest.MonkeyPatch.context() as patch:
            faulty = Faulty(patch)
            train_on(tmp_path / f"{steps}", config_of(steps))
        places.append(faulty.places)
        assert len(faulty.places) > 60
    assert places[0] == places[1]


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize(
    ("begin", "steps"),
    [
        pytest.param(new, SHORT, id="new"),
        pytest.param(started, STEPS, id="resumed"),
        pytest.param(new, STEPS, id="longer", marks=pytest.mark.slow),
    ],
)
def test_a_fault_at_every_file_call(tmp_path, begin, steps, half, monkeypatch):
    from train.errors import DataError

    with quick():
        begin(tmp_path / "begun")
        shutil.copytree(tmp_path / "begun", tmp_path / "whole")
        with monkeypatch.context() as patch:
            names = Faulty(patch).names
            train_on(tmp_path / "whole", config_of(steps))
        expected, felt = numbers(tmp_path / "whole"), 0
        assert len(names) > 60 and {"open", "read", "write", "fsync", "replace"} <= set(names)
        for at in range(half, len(names), 2):
            root, number = tmp_path / f"{at}", (errno.EIO, errno.ENOSPC)[at // 2 % 2]
            shutil.copytree(tmp_path / "begun", root)
            with monkeypatch.context() as patch:
                faulty = Faulty(patch, at, number)
                try:
                    notes = train_on(root, config_of(steps))  # a state that cannot be read is said, and done without
                    felt += bool(notes)
                except (OSError, DataError) as error:
                    felt += 1
                    failed = faulty.names[at]  # not always names[at]: a file's time decides whether it is read again
                    if number == errno.ENOSPC and failed in ("write", "fsync"):
                        assert "needs" in str(error) or failed == "fsync", error
            train_on(root, config_of(steps))
            assert numbers(root) == expected, (at, names[at])
            assert not list(root.rglob("*.tmp"))
            shutil.rmtree(root)
    assert felt > 0.4 * len(names)  # control
