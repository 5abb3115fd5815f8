"""Phases of a run, from logs written by hand: what each is called, and that they follow one another to the end."""

from typing import Any

import pytest
from oracles.handmade import handmade_run

STEPS = (0, 10, 100, 1000, 10_000)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return handmade_run(tmp_path_factory.mktemp("runs"), 7, (1, 2))


def phases_of(path: Any, train: list[float], test: list[float]) -> list[tuple[str, int, int]]:
    from interp import open_run
    from interp.story.phases import phases

    run = open_run(path)
    assert tuple(run.steps) == STEPS
    run.log["train_acc"], run.log["test_acc"] = train, test
    return [(phase.name, phase.first, phase.last) for phase in phases(run)]


NAN = float("nan")
CASES = {
    "grokked": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 0.2, 1, 1],
        [("memorising", 0, 10), ("between", 10, 1000), ("understood", 1000, 10_000)],
    ),
    "at once": ([0.1, 0.5, 1, 1, 1], [0.1, 0.5, 1, 1, 1], [("learning", 0, 100), ("understood", 100, 10_000)]),
    "test first": ([0.1, 0.5, 0.9, 1, 1], [0.1, 0.5, 1, 1, 1], [("learning", 0, 100), ("understood", 100, 10_000)]),
    "nearly at once": (
        [0.1, 0.5, 1, 1, 1],
        [0.1, 0.5, 0.9, 1, 1],
        [("learning", 0, 100), ("between", 100, 1000), ("understood", 1000, 10_000)],
    ),
    "memorised": ([0.1, 1, 1, 1, 1], [0.1] * 5, [("memorising", 0, 10), ("memorised", 10, 10_000)]),
    "half way": ([0.1, 1, 1, 1, 1], [0.1, 0.7, 0.7, 0.7, 0.7], [("learning", 0, 10), ("between", 10, 10_000)]),
    "unfitted": ([0.1, 0.2, 0.3, 0.4, 0.5], [0.1] * 5, [("learning", 0, 10_000)]),
    "lost again": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 1, 1, 0.5],
        [("memorising", 0, 10), ("between", 10, 100), ("unsteady", 100, 10_000)],
    ),
    "slingshot": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 1, 0.5, 1],
        [("memorising", 0, 10), ("between", 10, 10_000)],
    ),
    "from the start": ([1.0] * 5, [1.0] * 5, [("understood", 0, 10_000)]),
    "no test accuracy": ([0.1, 1, 1, 1, 1], [NAN] * 5, [("learning", 0, 10), ("between", 10, 10_000)]),
}


@pytest.mark.parametrize(("train", "test", "expected"), CASES.values(), ids=CASES)
def test_phases_are_named_by_what_was_answered(path, train, test, expected):
    assert phases_of(path, train, test) == expected


@pytest.mark.parametrize(("train", "test", "expected"), CASES.values(), ids=CASES)
def test_phases_follow_one_another_from_the_first_step_to_the_last(path, train, test, expected):
    found = phases_of(path, train, test)
    assert found[0][1] == STEPS[0] and found[-1][2] == STEPS[-1]
    assert all(a[2] == b[1] and a[1] < a[2] for a, b in zip(found, found[1:], strict=False))


def test_a_run_without_evaluations_or_with_one_snapshot_has_none(path):
    from interp import open_run
    from interp.story.phases import phases

    one = open_run(path)[0:1]
    assert len(one.steps) == 1 and phases(one) == ()
    empty = open_run(path)
    empty.log["test_loss"] = NAN
    assert empty.evaluations.empty and phases(empty) == ()
