"""A run on disk: its config, log and snapshots."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from train.config.run import RunConfig
from train.errors import DataError, MissingStep
from train.model.sizes import check_sizes
from train.storage.store import RunStore
from train.tasks.task import Task, all_pairs_task, make_task, with_split

from .origin import Origin, origin_of
from .unknown import known_only

if TYPE_CHECKING:
    pass

from .snapshot import Snapshot

LOG_COLUMNS = ("step", "train_loss", "test_loss", "train_acc", "test_acc", "batch_loss", "wall_s")
KEPT_SNAPSHOTS = 8
"""Snapshots whose model and logits stay in memory."""


class Run:
    """A run on disk: its config, log and snapshots.

    Attributes:
        config: the RunConfig; of an imported run, fields that nothing tells are ``Unknown``, and refuse to be used.
        task: the Task, with its split.
        path: the run's directory.
    """

    def __init__(self, store: RunStore, without: Iterable[int] = (), key_freqs: Sequence[int] | None = None) -> None:
        """``without``: steps to pass over, such as those of corrupt snapshots; ``key_freqs`` as in ``open_run``."""
        self.store = store
        self.path = store.path
        self.config: RunConfig = store.config if self._is_trained else known_only(store.config, self.origin)
        self._without = frozenset(without)
        self.given_key_freqs = None if key_freqs is None else tuple(key_freqs)
        self.kept: dict[tuple[Any, ...], Any] = {}
        """What analyses found once for all snapshots: see ``interp.parts.parts``."""
        self._snapshot: Callable[[int], Snapshot] = functools.lru_cache(KEPT_SNAPSHOTS)(lambda s: Snapshot(self, s))

    def __repr__(self) -> str:
        last = f"{len(self.steps)} snapshots to step {self.steps[-1]:,}" if self.steps else "no snapshots yet"
        doubt = "" if self.store.doubt is None else ", not verified"
        return f"<Run {self.name}: {last}{'' if self.is_done else ', still training or stopped'}{doubt}>"

    @property
    def name(self) -> str:
        """Directory name."""
        return self.path.name

    @property
    def _is_trained(self) -> bool:
        return self.origin.kind == "trained"

    @functools.cached_property
    def task(self) -> Task:
        """The task this run trains on; ``is_train`` is None where the split of an imported run is unknown.

        Raises:
            DataError: the snapshots are not of a model for it, or the split is not of its rows.
        """
        self._check_sizes()
        if self._is_trained:
            return make_task(self.config)
        task, is_train = all_pairs_task(self.config.task), self.store.load_split()
        if is_train is not None and len(is_train) != len(task.labels):
            raise DataError(f"the split of {self.path} has {len(is_train)} rows, not {len(task.labels)}")
        return task if is_train is None else with_split(task, is_train)

    def _check_sizes(self) -> None:
        """Refuse a config that the newest readable snapshot is not of, before a table that no memory holds is begun."""
        for step in reversed(self.steps):
            with contextlib.suppress(DataError):
                weights = self.store.load_snapshot(step)
                break
        else:
            return
        check_sizes(self.store.config, weights, f"step {step} of {self.path}")

    @functools.cached_property
    def origin(self) -> Origin:
        """Where the run comes from.

        Raises:
            DataError: ``run.json`` does not say it as it should.
        """
        try:
            return origin_of(self.store.info)
        except TypeError as error:
            raise DataError(f"{self.path / 'run.json'} holds no valid origin: {error}") from error

    @property
    def is_done(self) -> bool:
        """Whether it reached the largest step ever asked for."""
        done = self.store.done_step
        return done is not None and (not self._is_trained or done >= self.config.schedule.steps)

    @functools.cached_property
    def steps(self) -> list[int]:
        """Steps with a snapshot, rising (as they were when first asked for)."""
        return [step for step in self.store.steps if step not in self._without]

    @functools.cached_property
    def _steps(self) -> frozenset[int]:
        return frozenset(self.steps)

    @functools.cached_property
    def log(self) -> pd.DataFrame:
        """One row per logged step; losses in nats, NaN where a column was not evaluated at that step.

        Of an imported run: as the source lists them, not ours.
        """
        return pd.DataFrame(self.store.read_log(), columns=list(LOG_COLUMNS)).astype({"step": int})

    @property
    def evaluations(self) -> pd.DataFrame:
        """The rows of the log with test loss and accuracies; none of an imported run, which was not evaluated here."""
        is_ours = self.log["test_loss"].notna() & self._is_trained
        return self.log.loc[is_ours].reset_index(drop=True)

    def __getitem__(self, step: int) -> "Snapshot":
        """The snapshot at ``step``.

        Raises:
            MissingStep: a KeyError; there is none, the nearest are named.
        """
        if step not in self._steps:
            near = sorted(self.steps, key=lambda s: abs(s - step))[:2]
            named = ", ".join(map(str, sorted(near))) or "none: this run has no snapshots yet"
            raise MissingStep(
                f"no snapshot at step {step} in {self.path}; nearest are {named}: use run.nearest({step})"
            )
        return self._snapshot(step)

    def nearest(self, step: int) -> "Snapshot":
        """The snapshot nearest to ``step`` (the earlier of two at one distance)."""
        return self[min(self.steps, key=lambda s: abs(s - step), default=step)]

    @property
    def last(self) -> "Snapshot":
        """The snapshot at the largest step."""
        return self[self.steps[-1] if self.steps else 0]

    def stack(self, read: "Callable[[dict[str, Tensor]], Tensor]") -> Float[Tensor, "n_snapshots ..."]:
        """``read(weights)`` of every snapshot, stacked in the order of ``steps``."""
        return torch.stack([read(self.weights(step)) for step in self.steps])

    def weights(self, step: int) -> dict[str, Tensor]:
        """Tensors by TransformerLens name at a step, on the CPU.

        Raises:
            DataError: the file is corrupt, or a tensor holds a value that is not finite.
        """
        weights = self.store.load_snapshot(step)
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise DataError(f"{name} at step {step} of {self.path} holds values that are not finite")
        return weights

    def problems(self) -> dict[int, str]:
        """Snapshots that cannot be read, by step, with the reason."""
        found = {}
        for step in self.steps:
            try:
                self.weights(step)
            except DataError as error:
                found[step] = str(error)
        return found
