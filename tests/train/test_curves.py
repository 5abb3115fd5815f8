"""Crossings of a curve, worked out by hand."""

import math

import pytest

STEPS = [0, 10, 20, 30, 40, 50]


def crossings(values, threshold=0.9, steps=STEPS):
    from train.curves import first_crossing, stable_crossing

    return first_crossing(steps, values, threshold), stable_crossing(steps, values, threshold)


@pytest.mark.parametrize(
    ("values", "first", "stable"),
    [
        ([0.0, 0.1, 0.2, 0.95, 0.96, 1.0], 30, 30),
        ([0.0, 0.95, 0.2, 0.1, 0.96, 1.0], 10, 40),  # a first flicker, then for good
        ([0.0, 0.95, 1.0, 1.0, 1.0, 0.2], 10, None),  # lost again at the end
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], None, None),
        ([0.9, 0.9, 0.9, 0.9, 0.9, 0.9], 0, 0),  # at least: the threshold itself counts, and step 0 is a step
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.9], 50, 50),
        ([0.8999999, 0.0, 0.0, 0.0, 0.0, 0.0], None, None),
    ],
)
def test_crossings(values, first, stable):
    assert crossings(values) == (first, stable)


def test_an_empty_curve_crosses_nothing():
    assert crossings([], steps=[]) == (None, None)


def test_steps_and_values_must_pair_up():
    with pytest.raises(ValueError):
        crossings([1.0, 1.0])


def test_not_a_number_is_not_above_the_threshold():
    """A step that was not evaluated is no crossing, first or stable."""
    nan = math.nan
    assert crossings([0.0, nan, 0.2, 0.95, 0.96, 1.0]) == (30, 30)
    assert crossings([nan, nan, nan, nan, nan, nan]) == (None, None)
    assert crossings([0.0, 0.0, 0.0, nan, 0.95, 1.0]) == (40, 40)


def test_delay():
    from train.curves import delay

    assert delay(150, 9_400) == 9_250
    assert delay(0, 0) == 0  # zero is a value
    assert delay(20, 10) == -10
    assert delay(None, 10) is delay(10, None) is delay(None, None) is None


def test_a_crossing_is_known_between_two_evaluations():
    from train.curves import Bracket, bracket, delay_range

    assert str(bracket([5_400, 5_500, 5_600], 5_600)) == "between steps 5,500 and 5,600"
    assert bracket([0, 10], 0) == Bracket(None, 0)
    assert str(bracket([0, 10], 0)) == "by step 0, the first evaluation"
    assert bracket([0, 10], None) is None
    assert delay_range(Bracket(100, 150), Bracket(9_000, 9_400)) == (8_850, 9_300)
    assert delay_range(Bracket(100, 150), Bracket(100, 150)) == (-50, 50)  # one interval: which came first is not known
    assert delay_range(Bracket(None, 0), Bracket(10, 20)) is delay_range(None, Bracket(0, 1)) is None
