"""The steps at which runs are evaluated and saved: growing grids, and extra snapshots where the curves move."""

import itertools
import math

import pytest


def log_grid(per_decade, last):
    from train.engine.schedule import log_grid

    return log_grid(per_decade, last)


def eval_grid(last):
    from train.engine.schedule import eval_grid

    return eval_grid(last)


def rule(**state):
    from train.engine.schedule import SnapshotRule

    return SnapshotRule(**state)


# ---- the log grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_decade", "last", "steps"),
    [
        (1, 1_000, [0, 1, 10, 100, 1_000]),
        (1, 999, [0, 1, 10, 100]),
        (2, 100, [0, 1, 3, 10, 32, 100]),
        (3, 50, [0, 1, 2, 5, 10, 22, 46]),
        (16, 0, [0]),
        (16, 1, [0, 1]),
        (16, 2, [0, 1, 2]),
    ],
)
def test_log_grid_by_hand(per_decade, last, steps):
    assert log_grid(per_decade, last) == steps


@pytest.mark.parametrize("per_decade", [1, 4, 16, 96])
def test_log_grid_does_not_depend_on_the_number_of_steps(per_decade):
    longest = log_grid(per_decade, 40_000)
    for last in [*range(130), 999, 1_000, 1_001, 1_333, 1_334, 15_000, 39_810, 39_811, 39_999]:
        assert log_grid(per_decade, last) == [step for step in longest if step <= last]


@pytest.mark.parametrize("per_decade", [4, 16, 32])
def test_log_grid_has_per_decade_steps_to_a_decade(per_decade):
    grid = log_grid(per_decade, 100_000)
    assert grid == sorted(set(grid)) and grid[0] == 0 and grid[-1] == 100_000
    for decade in (1_000, 10_000):
        assert sum(decade <= step < 10 * decade for step in grid) == per_decade
    ratios = [b / a for a, b in itertools.pairwise(grid) if a >= 1_000]
    # each step is rounded by at most 1/2, in a ratio once above and once below
    assert all(abs(math.log10(ratio) * per_decade - 1) < per_decade / 1_000 for ratio in ratios)
    assert sum(1 <= step < 10 for step in grid) <= 9  # the control: small decades run out of whole numbers


def test_snapshots_of_the_default_run_are_few():
    """The default run has 50 to 70 snapshots of 0.9 MB: 4.2 decades of 16, fewer in the first."""
    assert 50 < len(log_grid(16, 15_000)) < 70


# ---- evaluations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, 1, 99, 100, 101, 4_000, 15_000, 40_000])
def test_evaluations_are_never_more_than_100_steps_apart(last):
    grid = eval_grid(last)
    assert grid == sorted(set(grid)) and grid[0] == 0 and grid[-1] <= last
    assert all(b - a <= 100 for a, b in itertools.pairwise([*grid, last]))
    assert set(range(0, last + 1, 100)) <= set(grid)


def test_a_log_grid_alone_leaves_wide_gaps():
    """The fine log grid alone (the control) is too sparse at late steps."""
    assert max(b - a for a, b in itertools.pairwise(log_grid(96, 15_000))) > 300


def test_early_evaluations_are_fine():
    grid = eval_grid(15_000)
    assert grid[:41] == list(range(41))
    assert sum(100 <= step < 1_000 for step in grid) >= 96
    assert len(grid) < 600


def test_evaluations_do_not_depend_on_the_number_of_steps():
    longest = eval_grid(40_000)
    for last in (0, 1, 57, 999, 4_096, 4_200, 4_300, 4_400, 10_000, 15_000):
        assert eval_grid(last) == [step for step in longest if step <= last]


def test_evaluations_include_the_fine_log_grid_while_it_is_finer():
    grid, fine = set(eval_grid(15_000)), log_grid(96, 15_000)
    wide = next(a for a, b in itertools.pairwise(fine) if b - a > 100)
    assert {step for step in fine if step <= wide} <= grid
    assert wide > 4_000


# ---- extra snapshots --------------------------------------------------------------------------------------


def following(test_loss, test_acc, **state):
    """A rule that has just registered a snapshot on the grid."""
    made = rule(**state)
    made.saved(test_loss, test_acc, extra=False)
    return made


@pytest.mark.parametrize(
    ("factor", "wanted"), [(10**0.26, True), (10**-0.26, True), (10**0.24, False), (10**-0.24, False), (1.0, False)]
)
@pytest.mark.parametrize("loss", [30.0, 1e-7])
def test_a_snapshot_is_wanted_where_log10_test_loss_moved_by_a_quarter(loss, factor, wanted):
    assert following(loss, 0.5).wants(loss * factor, 0.5) is wanted


@pytest.mark.parametrize(
    ("accuracy", "wanted"), [(0.551, True), (0.449, True), (0.549, False), (0.451, False), (0.5, False)]
)
def test_a_snapshot_is_wanted_where_test_accuracy_moved_by_a_twentieth(accuracy, wanted):
    assert following(2.0, 0.5).wants(2.0, accuracy) is wanted


def test_movement_is_counted_from_the_last_snapshot_not_the_last_evaluation():
    at = following(1.0, 0.5)
    wanted = [at.wants(1.0, 0.5 + 0.008 * i) for i in range(1, 10)]
    assert wanted == [False] * 6 + [True] * 3
    at.saved(1.0, 0.56, extra=True)
    assert not at.wants(1.0, 0.60) and at.wants(1.0, 0.62)


def test_a_snapshot_on_the_grid_sets_the_reference_too():
    at = following(1.0, 0.5)
    assert at.wants(3.0, 0.5)
    at.saved(3.0, 0.5, extra=False)
    assert not at.wants(3.0, 0.5) and at.n_extra == 0


def test_nothing_is_extra_before_the_first_snapshot():
    assert not rule().wants(1e-9, 1.0)


def test_at_most_60_are_added():
    at, loss, wanted = following(1.0, 0.0), 1.0, 0
    for _ in range(200):
        loss /= 10
        if at.wants(loss, 0.0):
            at.saved(loss, 0.0, extra=True)
            wanted += 1
    assert wanted == at.n_extra == 60
    assert not at.wants(1e9, 1.0)


def test_snapshots_on_the_grid_do_not_use_up_the_60():
    at = following(1.0, 0.0)
    for _ in range(500):
        at.saved(1.0, 0.0, extra=False)
    assert at.wants(10.0, 0.0)


@pytest.mark.parametrize("loss", [0.0, math.inf, math.nan])
def test_a_loss_out_of_range_breaks_nothing(loss):
    assert following(1.0, 0.5).wants(loss, 0.5) is (not math.isnan(loss))
    assert following(loss, 0.5).wants(1.0, 0.5) is (not math.isnan(loss))
    assert following(loss, 0.5).wants(loss, 0.5) is False
    assert following(loss, 0.5).wants(loss, 0.7) is True


def test_state_survives_its_dictionary():
    """A rule rebuilt from the resume state makes the same decisions."""
    at = following(1.0, 0.5, n_extra=59)
    again = rule(**vars(at))
    assert again == at and again.wants(10.0, 0.5)
    again.saved(10.0, 0.5, extra=True)
    assert not again.wants(100.0, 0.5) and at.n_extra == 59
