"""The recorder of a run: writes evaluations, the loss of every step, snapshots and the resume state."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from train.config.run import RunConfig
from train.errors import DivergedError
from train.storage.store import RunStore

from .schedule import SnapshotRule, StopRule, eval_grid, log_grid


class Recorder:
    """Writes the log, snapshots and resume states of one run; ``step`` counts the run's updates."""

    def __init__(self, config: RunConfig, store: RunStore, stop: StopRule | None = None) -> None:
        self.config, self.store, self.stop = config, store, stop
        self.held_since: int | None = None
        """Step since which every evaluation has met the accuracy of the stop rule; None if the last one did not."""
        self.rule = SnapshotRule()
        self.last = config.schedule.steps
        self.snapshot_steps = set(log_grid(config.schedule.per_decade, self.last))
        self.eval_steps = {*eval_grid(self.last), *self.snapshot_steps, self.last}
        self.row: dict[str, Any] | None = None
        """The latest evaluation's log row."""
        self.step, self.wall_before = 0, 0.0
        self.last_snapshot: int | None = None
        self.started = self.saved_at = time.monotonic()

    def resume(self) -> dict[str, Tensor] | None:
        """Load the resume state, if there is one, and drop later log rows. Returns the state's tensors.

        Raises:
            DataError: files needed for training are damaged; nothing was changed.
        """
        saved = self.store.begin()
        if saved is not None:
            state = saved[1]
            self.step, self.wall_before = state["step"], state["wall_s"]
            self.rule = SnapshotRule(**state["rule"])
        self.eval_steps |= set(self.store.steps)
        for row in self.store.read_log() if self.stop is not None else ():
            if "test_acc" in row:
                self._hold(row["step"], row["test_acc"])
        self.last_snapshot = max((s for s in self.store.steps if s <= self.step), default=None)
        return None if saved is None else saved[0]

    @property
    def is_finished(self) -> bool:
        """Whether the last step is reached, or the stop rule is met at the current one."""
        return self.step >= self.last or self._has_held()

    @property
    def is_evaluation_due(self) -> bool:
        """Whether the current step has a test evaluation."""
        return self.step in self.eval_steps

    def losses(self, values: list[float]) -> None:
        """Log the losses of the latest updates, except at a step that an evaluation has already logged.

        Raises:
            DivergedError: a loss is not finite; the losses of earlier steps are logged.
        """
        first = self.step - len(values)
        name = "train_loss" if self.config.optim.logs_training_loss else "batch_loss"
        evaluated = self.row["step"] if self.row is not None else None
        rows = [{"step": first + i, name: value} for i, value in enumerate(values)]
        bad = next((row for row in rows if not math.isfinite(row[name])), None)
        finite = rows if bad is None else [row for row in rows if math.isfinite(row[name])]
        if finite:
            self.store.append_log([row for row in finite if row["step"] != evaluated])
        if bad is not None:
            raise self._diverged(bad[name], bad["step"])

    def evaluated(
        self, scores: Mapping[str, float], weights: Callable[[], Mapping[str, Tensor]], save: Callable[[], None]
    ) -> None:
        """Log an evaluation; if a snapshot is due, save ``weights()`` and then call ``save()``.

        Raises:
            DivergedError: the training or the test loss is not finite; nothing is written.
        """
        for name in ("train", "test"):
            if not math.isfinite(scores[f"{name}_loss"]):
                raise self._diverged(scores[f"{name}_loss"], self.step, name)
        self.row = {"step": self.step, **scores, "wall_s": round(self._wall_s(), 3)}
        self.store.append_log([self.row])
        self._hold(self.step, scores["test_acc"])
        on_grid = self.step in self.snapshot_steps
        extra = not on_grid and self.rule.wants(scores["test_loss"], scores["test_acc"])
        if on_grid or extra or self.is_finished:
            self.store.save_snapshot(self.step, weights())
            self.last_snapshot = self.step
        if on_grid or extra:
            self.rule.saved(scores["test_loss"], scores["test_acc"], extra=extra)
            save()

    def _hold(self, step: int, test_acc: float) -> None:
        if self.stop is None or test_acc < self.stop.test_acc:
            self.held_since = None
        elif self.held_since is None:
            self.held_since = step

    def _has_held(self) -> bool:
        """Whether the current step has an evaluation and the stop rule is met there."""
        if self.stop is None or self.held_since is None or self.step not in self.eval_steps:
            return False
        return self.step - self.held_since >= self.stop.steps

    def save_resume(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the resume state; the log must be on disk up to the current step."""
        self.store.save_resume(tensors, {"step": self.step, "wall_s": self._wall_s(), "rule": vars(self.rule)})
        self.saved_at = time.monotonic()

    def _diverged(self, loss: float, step: int, name: str = "train") -> DivergedError:
        lr, which = self.config.optim.lr, {"train": "training"}.get(name, name)
        return DivergedError(f"the {which} loss is {loss} at step {step}: lower --lr (it is {lr:g})")

    def _wall_s(self) -> float:
        return self.wall_before + time.monotonic() - self.started


def finished_step(config: RunConfig, store: RunStore) -> int | None:
    """The step that a run has reached if that is at least ``config``'s number of steps, else None.

    Raises:
        DataError: ``DONE``, or every resume state, is damaged.
    """
    done = store.done_step
    if done is not None:
        return done if done >= config.schedule.steps else None
    saved = store.load_resume()
    return saved[1]["step"] if saved is not None and saved[1]["step"] > config.schedule.steps else None
