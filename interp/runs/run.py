"""A run on disk: its config, log and snapshots."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.html.cards import card
from train.config.run import RunConfig
from train.errors import DataError, MissingStep
from train.storage.store import RunStore
from train.tasks.task import Task, all_pairs_task, make_task, with_split

from .facts import config_words, evaluation_words
from .origin import Origin, origin_of
from .snapshot import Snapshot
from .steps import ALL_STEPS, as_key_freqs, as_range, as_step, overlap, range_words
from .unknown import known_only

AnyRun = TypeVar("AnyRun", bound="Run")
LOG_COLUMNS = ("step", "train_loss", "test_loss", "train_acc", "test_acc", "batch_loss", "wall_s")
KEPT_SNAPSHOTS = 8
"""Number of snapshots whose model and logits stay in memory, the most recently used."""


class Run:
    """A run on disk: its config, log and snapshots.

    Iterating over a run gives its snapshots in the order of their steps, and ``len(run)`` is their number.
    ``run[1000]`` is the snapshot at step 1000. ``run[0:1000]`` is the same run restricted to the steps from 0 to 999:
    snapshots, log and evaluations of later steps are left out, ``last`` is the last snapshot of the range, and analyses
    see the run as it was then. A range takes no stride and no negative bounds.

    A run pickles as its path, its key frequencies and its restrictions. Unpickling opens the path again, so the files
    have to be there, and verifies them as ``open_run`` does; snapshots saved in the meantime are seen.

    Attributes:
        config: the RunConfig; fields of an imported run that its source does not state are ``Unknown``, and raise
            ``UsageError`` when they are used.
        path: the run's directory.
        given_key_freqs: the key frequencies given to ``open_run``; None if measures choose them.
    """

    def __init__(
        self,
        store: RunStore,
        without: Iterable[int] = (),
        key_freqs: Sequence[int] | None = None,
        within: range = ALL_STEPS,
    ) -> None:
        """Read the run of a store.

        Args:
            store: the run's directory, opened.
            without: steps to leave out, such as those of corrupt snapshots.
            key_freqs: as in ``open_run``.
            within: the steps that the run is restricted to.
        """
        self.store = store
        self.path = store.path
        self.config: RunConfig = store.config if self._is_trained else known_only(store.config, self.origin)
        self.given_key_freqs = None if key_freqs is None else as_key_freqs(key_freqs)
        self.kept: dict[tuple[Any, ...], Any] = {}
        """Results that analyses share between snapshots: see ``interp.parts.memo``."""
        self._without = frozenset(without)
        self._within = within
        self._snapshot: Callable[[int], Snapshot] = functools.lru_cache(KEPT_SNAPSHOTS)(lambda s: Snapshot(self, s))

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self._state}>"

    def _repr_html_(self) -> str:
        """A card for notebooks: snapshots, config and the last evaluation."""
        evaluated = evaluation_words(self.evaluations) or "not evaluated here"
        rows = {"state": self._state, "config": config_words(self.config), "last evaluation": evaluated}
        if not self._is_trained:
            rows["imported from"] = str(self.origin.source)
        return card(f"Run {self.name}", rows)

    @property
    def _state(self) -> str:
        """Snapshots, restriction, and whether the run is done and verified, in words."""
        plural = "" if len(self.steps) == 1 else "s"
        last = f"{len(self.steps)} snapshot{plural} to step {self.steps[-1]:,}" if self.steps else "no snapshots"
        if self.is_restricted:
            return f"{last}, restricted to {range_words(self._within)}"
        doubt = "" if self.store.doubt is None else ", not verified"
        return f"{last}{'' if self.is_done else ', still training or stopped'}{doubt}"

    def __reduce__(self) -> tuple[Any, ...]:
        restrictions = (sorted(self._without), self.given_key_freqs, self._within)
        return _reopened, (type(self), self.path.absolute(), self.store.run_id, *restrictions)

    def __len__(self) -> int:
        return len(self.steps)

    def __bool__(self) -> bool:
        return True  # a run without snapshots is still a run

    def __iter__(self) -> Iterator[Snapshot]:
        return (self[step] for step in self.steps)

    def __reversed__(self) -> Iterator[Snapshot]:
        return (self[step] for step in reversed(self.steps))

    def __contains__(self, item: object) -> bool:
        """Whether there is a snapshot at a step, or whether a snapshot is one of this run's."""
        return item.run is self if isinstance(item, Snapshot) else item in self._steps

    @property
    def name(self) -> str:
        """Directory name."""
        return self.path.name

    @property
    def _is_trained(self) -> bool:
        return self.origin.kind == "trained"

    @functools.cached_property
    def task(self) -> Task:
        """The task that the run trains on; ``is_train`` is None where the split of an imported run is unknown.

        Raises:
            DataError: the snapshots do not fit the config's model, or the saved split does not fit the task's rows.
        """
        self._check_sizes()
        if self._is_trained:
            return make_task(self.config)
        task, is_train = all_pairs_task(self.config.task), self.store.load_split()
        if is_train is not None and len(is_train) != len(task.labels):
            raise DataError(f"the split of {self.path} has {len(is_train)} rows, not {len(task.labels)}")
        return task if is_train is None else with_split(task, is_train)

    def _check_sizes(self) -> None:
        """Check the newest readable snapshot against the config, before a table of the config's size is allocated.

        Raises:
            DataError: the snapshot's tensors are not those of the config's model.
        """
        for step in reversed(self.steps):
            with contextlib.suppress(DataError):
                weights = self.store.load_snapshot(step)
                break
        else:
            return
        from train.model.sizes import check_sizes  # imports transformer_lens, which reading a log does not need

        check_sizes(self.store.config, weights, f"step {step} of {self.path}")

    @functools.cached_property
    def origin(self) -> Origin:
        """Where the run comes from.

        Raises:
            DataError: the origin in ``run.json`` has unknown fields.
        """
        try:
            return origin_of(self.store.info)
        except TypeError as error:
            raise DataError(f"{self.path / 'run.json'} holds no valid origin: {error}") from error

    @property
    def is_done(self) -> bool:
        """Whether training reached the largest number of steps ever requested, within the run's restriction."""
        done = self.store.done_step
        if done is None or done >= self._within.stop:
            return False
        return not self._is_trained or done >= self.config.schedule.steps

    @property
    def is_restricted(self) -> bool:
        """Whether the run is a range of steps of a longer one, as ``run[0:1000]`` is."""
        return self._within != ALL_STEPS

    @functools.cached_property
    def steps(self) -> list[int]:
        """Steps with a snapshot, in rising order, read from disk once."""
        return [step for step in self.store.steps if step in self._within and step not in self._without]

    @functools.cached_property
    def _steps(self) -> frozenset[int]:
        return frozenset(self.steps)

    @functools.cached_property
    def log(self) -> pd.DataFrame:
        """One row per logged step; losses in nats, NaN where a column was not evaluated at that step.

        The log of an imported run holds the values that its source lists.
        """
        rows = [row for row in self.store.read_log() if row["step"] in self._within]
        return pd.DataFrame(rows, columns=list(LOG_COLUMNS)).astype({"step": int})

    @property
    def evaluations(self) -> pd.DataFrame:
        """The rows of the log with test loss and accuracies; none for an imported run, evaluated elsewhere."""
        is_ours = self.log["test_loss"].notna() & self._is_trained
        return self.log.loc[is_ours].reset_index(drop=True)

    @overload
    def __getitem__(self, step: int) -> Snapshot: ...
    @overload
    def __getitem__(self: AnyRun, step: slice) -> AnyRun: ...
    def __getitem__(self, step: Any) -> "Snapshot | Run":
        """The snapshot at a step, or the run restricted to a range of steps.

        Raises:
            MissingStep: a KeyError; there is no snapshot at the step, and the message names the nearest ones.
            UsageError: the index is neither a step nor a range of steps.
        """
        if isinstance(step, slice):
            within = overlap(self._within, as_range(step))
            return type(self)(self.store, self._without, self.given_key_freqs, within)
        step = as_step(step)
        if step not in self._steps:
            near = ", ".join(map(str, sorted(sorted(self.steps, key=lambda s: abs(s - step))[:2])))
            where = f"{range_words(self._within)} of {self.path}" if self.is_restricted else self.path
            if not near:
                raise MissingStep(f"no snapshot at step {step} in {where}: there are no snapshots")
            hint = "run.last is the last one" if step < 0 else f"use run.nearest({step})"
            raise MissingStep(f"no snapshot at step {step} in {where}; nearest are {near}: {hint}")
        return self._snapshot(step)

    def nearest(self, step: int) -> "Snapshot":
        """The snapshot nearest to ``step``, the earlier of two that are equally near.

        Raises:
            MissingStep: there are no snapshots.
            UsageError: ``step`` is not a whole number.
        """
        step = as_step(step)
        return self[min(self.steps, key=lambda s: abs(s - step), default=step)]

    @property
    def last(self) -> "Snapshot":
        """The snapshot at the largest step.

        Raises:
            MissingStep: there are no snapshots.
        """
        return self[self.steps[-1] if self.steps else 0]

    def stack(self, read: Callable[[dict[str, Tensor]], Tensor]) -> Float[Tensor, "n_snapshots ..."]:
        """The results of ``read(weights)`` for every snapshot, stacked in the order of ``steps``."""
        return torch.stack([read(self.weights(step)) for step in self.steps])

    def weights(self, step: int) -> dict[str, Tensor]:
        """Weights at a step by TransformerLens name, on the CPU.

        Raises:
            KeyError: there is no snapshot at the step.
            DataError: the file is corrupt, or a tensor holds a value that is not finite.
        """
        weights = self.store.load_snapshot(step)
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise DataError(f"{name} at step {step} of {self.path} holds values that are not finite")
        return weights

    def problems(self) -> dict[int, str]:
        """Reasons, by step, why snapshots cannot be read; empty if all can be read."""
        reasons = {}
        for step in self.steps:
            try:
                self.weights(step)
            except DataError as error:
                reasons[step] = str(error)
        return reasons


def _reopened(
    kind: type[Run], path: Path, run_id: str, without: list[int], key_freqs: tuple[int, ...] | None, within: range
) -> Run:
    """Reopen a pickled run.

    Raises:
        UsageError: there is no run at the path.
        DataError: the files cannot be read, or are another run's.
    """
    store = RunStore.open(path)
    if store.run_id != run_id:
        raise DataError(f"{path} held the run {run_id} when it was pickled; now it holds {store.run_id}")
    return kind(store, without, key_freqs, within)
