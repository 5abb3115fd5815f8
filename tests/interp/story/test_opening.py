"""The sentences of the first screen: one of several for each kind of run, with numbers counted by hand."""

from typing import Any

import pandas as pd
import pytest
from oracles.handmade import handmade_run

STEPS = (0, 10, 100, 1000, 10_000)
NAN = float("nan")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return handmade_run(tmp_path_factory.mktemp("runs"), 7, (1, 2))


def opened(path: Any, train: list[float], test: list[float]) -> Any:
    from interp import open_run

    run = open_run(path)
    run.log["train_acc"], run.log["test_acc"] = train, test
    return run


MEMORISED = ("story.memorised", {"at": 10, "below": 0, "pairs": 14, "test_acc": 0.1, "chance": 1 / 7})
CASES = {
    "grokked": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 0.2, 1, 1],
        MEMORISED,
        ("story.understood", {"at": 1000, "below": 100, "delay_least": 90, "delay_most": 1000}),
    ),
    "at once": (
        [0.1, 0.5, 1, 1, 1],
        [0.1, 0.5, 1, 1, 1],
        ("story.at_once", {"at": 100, "below": 10, "pairs": 14, "test_acc": 1, "chance": 1 / 7}),
        ("story.understood", {"at": 100, "below": 10}),
    ),
    "memoriser": (
        [0.1, 1, 1, 1, 1],
        [0.1] * 5,
        MEMORISED,
        ("story.not_understood", {"test_acc": 0.1, "step": 10_000, "chance": 1 / 7}),
    ),
    "unfitted": (
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0.1] * 5,
        ("story.not_fitted", {"pairs": 14, "chance": 1 / 7, "step": 10_000, "train_acc": 0.5}),
        ("story.not_understood", {"test_acc": 0.1, "step": 10_000, "chance": 1 / 7}),
    ),
    "lost again": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 1, 1, 0.5],
        MEMORISED,
        ("story.not_kept", {"at": 100, "below": 10, "test_acc": 0.5, "step": 10_000}),
    ),
    "slingshot": (
        [0.1, 1, 1, 1, 1],
        [0.1, 0.1, 1, 0.5, 1],
        MEMORISED,
        (
            "story.understood",
            {"at": 10_000, "below": 1000, "delay_least": 990, "delay_most": 10_000, "first": 100},
        ),
    ),
    "no test accuracy": (
        [0.1, 1, 1, 1, 1],
        [NAN] * 5,
        ("story.fitted", {"pairs": 14, "chance": 1 / 7, "at": 10, "below": 0}),
        None,
    ),
    "no accuracy": ([NAN] * 5, [NAN] * 5, None, None),
}


@pytest.mark.parametrize(("train", "test", "memorised", "understood"), CASES.values(), ids=CASES)
def test_each_kind_of_run_has_its_sentence(path, train, test, memorised, understood):
    from interp.story.opening import memorised_claim, understood_claim

    run = opened(path, train, test)
    assert len(run.task.rows("train")) == 14  # 0.3 of 49
    for claim, expected in ((memorised_claim(run), memorised), (understood_claim(run), understood)):
        if expected is None:
            assert claim is None
        else:
            assert claim is not None and claim.id == expected[0]
            assert claim.numbers == pytest.approx(expected[1])


def test_what_was_not_learnt_is_not_said_to_be(path):
    """The words of success are in the sentences of success alone."""
    from interp.story.opening import memorised_claim, understood_claim

    for name, (train, test, memorised, understood) in CASES.items():
        run = opened(path, train, test)
        text = " ".join(claim.text for claim in (memorised_claim(run), understood_claim(run)) if claim is not None)
        assert ("understood the rule" in text) == (understood is not None and understood[0] == "story.understood"), name
        assert ("**memorised**" in text) == (memorised is MEMORISED), name


# ---- what was dropped ------------------------------------------------------------------------------


def shares(monkeypatch, share: dict[int, list[float]], neurons: dict[int, list[float]]) -> None:
    """Let the logits' shares, and the numbers of neurons, be these at the run's steps."""
    from interp.story import opening

    def rows(run, names):
        values, name = (share, "logit_cos") if names == ("logit_cos",) else (neurons, names[0])
        power = 0.5 if name == "logit_cos" else 1.0
        frame = [(s, name, k, v**power) for k, vs in values.items() for s, v in zip(STEPS, vs, strict=True)]
        return pd.DataFrame(frame, columns=["step", "measure", "k", "value"]).assign(irrep=pd.NA)

    monkeypatch.setattr(opening, "progress_rows", rows)


def dropped(path) -> list[Any]:
    from interp import open_run
    from interp.story.opening import dropped_claims

    return dropped_claims(open_run(path))


def test_the_first_carrier_and_the_frequency_that_lost_its_neurons(path, monkeypatch):
    share = {1: [0, 0, 0.5, 0.5, 0.5], 2: [0, 0.02, 0.3, 0.005, 0.002], 3: [0, 0, 0, 0.009, 0.4]}
    neurons = {1: [0.0, 0, 5, 20, 30], 2: [0.0, 8, 12, 3, 0], 3: [0.0, 1, 0, 0, 0]}
    shares(monkeypatch, share, neurons)
    first, lost = dropped(path)
    assert (first.id, first.numbers) == ("story.first_carrier", {"frequency 2": 10})
    assert first.text == "Frequency 2 was the first to carry 1\u00a0% of the logits' energy, between steps 0 and 10."
    assert (lost.id, lost.numbers) == ("story.lost_neurons", {"k": 2, "neurons": 12, "at": 100, "gone": 10_000})
    assert lost.text == "Frequency 2, which had 12 neurons at step 100, had lost them all by step 10,000."


@pytest.mark.parametrize(
    ("share", "neurons", "ids"),
    [
        # the neurons came back: their frequency lost none for good, but the other one fell below 1 %
        (
            {1: [0, 0.5, 0.5, 0.5, 0.5], 2: [0, 0.02, 0.3, 0.005, 0.002]},
            {1: [0, 9, 0, 0, 9]},
            ["story.first_carrier", "story.lost_share"],
        ),
        ({1: [0, 0.5, 0.5, 0.5, 0.5]}, {1: [0, 9, 9, 9, 9]}, ["story.first_carrier", "story.none_dropped"]),
        ({1: [0, 0, 0, 0, 0.009]}, {1: [0, 0, 0, 0, 0]}, ["story.no_carrier"]),
        ({}, {}, []),
    ],
    ids=["a share", "nothing", "no carrier", "no frequencies"],
)
def test_the_other_sentences(path, monkeypatch, share, neurons, ids):
    shares(monkeypatch, share, neurons)
    claims = dropped(path)
    assert [claim.id for claim in claims] == ids
    if ids[-1:] == ["story.lost_share"]:
        assert claims[-1].numbers == pytest.approx({"largest": 0.3, "at": 100, "last": 0.002})


def test_a_frequency_that_carries_from_the_start_is_not_said_to_come(path, monkeypatch):
    shares(monkeypatch, {1: [0.5] * 5, 2: [0.2] * 5}, {})
    first, _ = dropped(path)
    assert first.text == (
        "Frequencies 1 and 2 were the first to carry 1\u00a0% of the logits' energy, already at the first snapshot."
    )


def test_a_group_has_irreps_where_frequencies_stand(tmp_path):
    from oracles.runs import random_run

    from interp.story.opening import dropped_claims, shares_of_energy

    run: Any = random_run(tmp_path, op="compose", group="S3")
    assert set(shares_of_energy(run)["name"]) == {str(name) for name in _irreps(run)}
    texts = " ".join(claim.text for claim in dropped_claims(run))
    assert "rrep" in texts and "requenc" not in texts


def _irreps(run: Any) -> list[Any]:
    from interp.measures import measure_snapshot

    return list(measure_snapshot(run.last, ["irrep_logit_cos"])["irrep_logit_cos"])
