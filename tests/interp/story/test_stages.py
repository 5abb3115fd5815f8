"""The stages of a run: which snapshots stand for them, and what a page says of those that are missing."""

import pytest
from oracles.eight import eight_runs, logged
from oracles.runs import random_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, one_thread):
    return eight_runs(tmp_path_factory.mktemp("eight"))


def stages(run):
    from interp.story.stages import stages_of

    return [(stage.name, stage.step) for stage in stages_of(run)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grokked", [("memorised", 10), ("understood", 10_000)]),
        ("memorising", [("memorised", 10)]),
        ("never", [("not learnt", 10)]),
        ("one_snapshot", [("not learnt", 10)]),
        ("imported", [("not learnt", 0)]),
    ],
)
def test_stages_are_what_the_run_did(runs, name, expected):
    assert stages(runs[name]) == expected


@pytest.mark.parametrize(
    ("test", "middle"),
    [
        ((0.0, 0.0, 0.1, 0.45, 0.7, 1.0), 30),  # the nearest to one half
        ((0.0, 0.0, 0.2, 0.2, 0.2, 1.0), 20),  # the first of equals
        ((0.0, 0.0, 0.995, 0.5, 0.5, 1.0), None),  # learnt at once: nothing is on the way, though it fell again
    ],
)
def test_the_middle_is_between_memorising_and_understanding(tmp_path, monkeypatch, test, middle):
    from interp.story import stages as module

    run = logged(random_run(tmp_path, steps=(0, 10, 20, 30, 40, 50), p=7), train=(0.1, *(1.0,) * 5), test=test)
    assert [name for name, _ in stages(run)] == ["not learnt"]  # control: the weights are random
    monkeypatch.setattr(module, "standing_of", lambda run: type("Standing", (), {"kind": "generalises"}))
    run.kept.clear()
    expected = [("memorised", 10), ("on the way", middle), ("understood", 50)]
    assert stages(run) == [stage for stage in expected if stage[1] is not None]


def test_what_is_missing_is_said(runs):
    from interp.story.stages import stages_claim, stages_of

    every = stages_of(runs["grokked"])
    text = stages_claim(runs["grokked"], every, every).text
    assert text == "Shown: memorised (step 10) and understood (step 10,000). The run has no snapshot that shows it " + (
        "on the way."
    )
    fewer = stages_claim(runs["grokked"], every[1:], every)
    assert fewer.numbers == {"understood": 10_000}
    assert fewer.text.endswith("Left out, because the weights would make the page too large: memorised.")
    one = stages_of(runs["imported"])
    assert "the imported snapshot" in stages_claim(runs["imported"], one, one).text
    never = stages_of(runs["never"])
    assert stages_claim(runs["never"], never, never).text.endswith("shows it memorised, on the way or understood.")
