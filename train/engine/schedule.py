"""Steps of evaluations and snapshots; the grids do not depend on the number of steps."""

import math
from dataclasses import dataclass

from train.errors import UsageError

OBEYS = frozenset({"schedule.steps", "schedule.per_decade"})
"""Settings that this module obeys."""
EVALS_PER_DECADE = 96
MAX_EVAL_GAP = 100
"""Steps between test evaluations never exceed this."""
MAX_EXTRA_SNAPSHOTS = 60
LOG10_LOSS_MOVE = 0.25
ACCURACY_MOVE = 0.05


def log_grid(per_decade: int, last: int) -> list[int]:
    """Log-spaced steps 0, 1, ... up to ``last``, ``per_decade`` per factor of ten, rounded and without repeats.

    The grid for a smaller ``last`` is a prefix of the grid for a larger one.
    """
    n = math.ceil(per_decade * math.log10(last + 1)) + 1
    steps = {0, *(round(10 ** (i / per_decade)) for i in range(n))}
    return sorted(step for step in steps if step <= last)


def eval_grid(last: int) -> list[int]:
    """Steps with a test evaluation: a fine log grid, then every ``MAX_EVAL_GAP`` steps."""
    fine = log_grid(EVALS_PER_DECADE, last)
    linear = range(0, last + 1, MAX_EVAL_GAP)
    dense_until = next((a for a, b in zip(fine, fine[1:], strict=False) if b - a > MAX_EVAL_GAP), last)
    return sorted({*linear, *(step for step in fine if step <= dense_until)})


@dataclass(frozen=True)
class StopRule:
    """A rule that ends a run before its last step, once its test accuracy has stayed high for long enough."""

    test_acc: float = 0.99
    """Required test accuracy at every evaluation, from 0 to 1."""
    steps: int = 1_000
    """Number of updates for which the accuracy has to hold."""

    def __post_init__(self) -> None:
        if not 0 < self.test_acc <= 1:
            raise UsageError(f"test_acc = {self.test_acc} is out of range; it must be above 0 and at most 1")
        if self.steps < 0:
            raise UsageError(f"steps = {self.steps} is out of range; it must be a whole number from 0")


@dataclass
class SnapshotRule:
    """The rule for extra snapshots, taken where test loss or accuracy has moved since the last snapshot.

    Every snapshot, on the grid or extra, becomes the reference; at most ``MAX_EXTRA_SNAPSHOTS`` are added.
    Test loss is in nats; a loss of exactly 0 counts as the smallest positive float.
    """

    n_extra: int = 0
    test_loss: float | None = None
    test_acc: float | None = None

    def wants(self, test_loss: float, test_acc: float) -> bool:
        """Whether a snapshot off the grid is due at these values."""
        if self.n_extra >= MAX_EXTRA_SNAPSHOTS or self.test_loss is None or self.test_acc is None:
            return False
        moved = abs(_log10(test_loss) - _log10(self.test_loss))
        return moved > LOG10_LOSS_MOVE or abs(test_acc - self.test_acc) > ACCURACY_MOVE

    def saved(self, test_loss: float, test_acc: float, *, extra: bool) -> None:
        """Make the snapshot just saved the reference."""
        self.n_extra += extra
        self.test_loss, self.test_acc = test_loss, test_acc


def _log10(loss: float) -> float:
    return math.log10(max(loss, 5e-324))
