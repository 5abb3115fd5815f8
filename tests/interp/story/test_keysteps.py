"""The choice of key steps, most of them where a run's curves move."""

import math

import numpy as np
import pandas as pd
import pytest

STEPS = [0, *sorted({round(10 ** (i / 48)) for i in range(197)})]
"""Steps of snapshots, everywhere as close together as a run saves them in its transition."""


def curves(middle=None, width=0.04, steps=STEPS):
    """Evaluations of a run that goes from memorising to generalising at ``middle``; None: a run that never moves."""
    log = np.log10(np.array(steps) + 1.0)
    solved = np.zeros(len(steps)) if middle is None else 1 / (1 + np.exp(-(log - math.log10(middle)) / width))
    return pd.DataFrame(
        {"step": steps, "test_loss": 10.0 ** (1 - 7 * solved), "train_acc": 1.0, "test_acc": 0.05 + 0.95 * solved}
    )


def key_steps(evaluations, steps=STEPS, **count):
    from interp.story.keysteps import key_steps

    return key_steps(evaluations, steps, **count)


def near(steps, middle, factor=1.5):
    return sum(middle / factor <= step <= middle * factor for step in steps)


@pytest.mark.parametrize("count", [2, 3, 5, 12, 30])
@pytest.mark.parametrize("middle", [None, 30, 3_000])
def test_first_and_last_are_there_and_no_more_than_asked(middle, count):
    chosen = key_steps(curves(middle), count=count)
    assert chosen[0] == 0 and chosen[-1] == STEPS[-1]
    assert len(chosen) <= count
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(STEPS)


def test_twelve_unless_asked_otherwise():
    assert 10 <= len(key_steps(curves(3_000))) <= 12


@pytest.mark.parametrize("middle", [50, 600, 3_000])
def test_they_gather_at_the_transition(middle):
    """Most key steps lie within a factor of 1.5 of the transition; hardly any of a flat curve's do."""
    assert near(key_steps(curves(middle)), middle) >= 5
    assert near(key_steps(curves(None)), middle) <= 2


def test_a_flat_curve_spreads_them_over_log_steps():
    chosen = key_steps(curves(None))
    gaps = np.diff(np.log10(np.array(chosen) + 1.0))
    assert len(chosen) >= 10
    assert gaps.max() < 2.5 * math.log10(STEPS[-1] + 1) / 11


def test_each_curve_moves_them_by_itself():
    """A loss, a training or a test accuracy that moves alone is enough to attract key steps."""
    moving, flat = curves(600), curves(None)
    for column, values in (
        ("test_loss", moving["test_loss"]),
        ("test_acc", moving["test_acc"]),
        ("train_acc", moving["test_acc"]),
    ):
        assert near(key_steps(flat.assign(**{column: values})), 600) >= 5


def test_loss_is_read_in_decades():
    """A fall of the loss from 1e-3 to 1e-7 attracts as many key steps as one from 10 to 1e-3."""
    frame = curves(600).assign(test_acc=1.0)
    scaled = frame.assign(test_loss=frame["test_loss"] * 1e-3)
    assert key_steps(frame) == key_steps(scaled)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 12])
def test_no_more_steps_than_asked_for_are_all_kept(n):
    assert key_steps(curves(600), steps=STEPS[:n]) == STEPS[:n]


def test_evaluations_between_the_snapshots_change_nothing():
    fine = sorted({*STEPS, *range(0, STEPS[-1], 37)})
    assert key_steps(curves(600, steps=fine)) == key_steps(curves(600))


def test_a_missing_evaluation_is_bridged():
    frame = curves(600)
    chosen = key_steps(frame[frame["step"] != STEPS[40]])
    assert chosen[0] == 0 and chosen[-1] == STEPS[-1] and near(chosen, 600) >= 5


def test_a_loss_of_zero_is_a_number():
    chosen = key_steps(curves(600).assign(test_loss=lambda frame: frame["test_loss"].where(frame["step"] < 600, 0.0)))
    assert near(chosen, 600) >= 4 and len(chosen) >= 6


def test_without_any_evaluation_they_spread_over_log_steps():
    """Without evaluations the key steps are the first, the last and some between on a log scale."""
    empty = pd.DataFrame({"step": [], "test_loss": [], "train_acc": [], "test_acc": []}).astype({"step": int})
    chosen = key_steps(empty)
    assert chosen[0] == 0 and chosen[-1] == STEPS[-1] and len(chosen) >= 10


def test_without_a_split_the_known_curves_still_count():
    """A column without values (an unknown split) leaves the choice to the other curves."""
    frame = curves(600).assign(train_acc=math.nan)
    assert near(key_steps(frame), 600) >= 5
