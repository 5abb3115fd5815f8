"""The one way to read a run: in a REPL, in measures, in reports and in tests."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from train.config import RunConfig
from train.errors import DataError, MissingStep, UsageError
from train.files import is_there
from train.hints import nearest
from train.loss import cross_entropy
from train.model import HookedMLP, HookedTransformer, build_model
from train.model.sizes import check_sizes
from train.store import RunStore
from train.tasks import Task, all_pairs_task, make_task, with_split

from .origin import Origin, origin_of
from .unknown import known_only

if TYPE_CHECKING:
    from transformer_lens import ActivationCache

    from .keyfreqs import KeyFreqs

LOG_COLUMNS = ("step", "train_loss", "test_loss", "train_acc", "test_acc", "batch_loss", "wall_s")
KEPT_SNAPSHOTS = 8
"""Snapshots whose model and logits stay in memory."""
CHUNK_ROWS = 16_384
"""Rows that a model without hooks is given at a time."""


def open_run(name: str | Path, root: str | Path = "checkpoints", key_freqs: Sequence[int] | None = None) -> "Run":
    """Open a run by its directory or by a unique prefix of its name.

    Args:
        name: a run's directory, or a prefix of one ("add-p113", "elsewhere/add-p113").
        root: where a bare prefix is looked for.
        key_freqs: the frequencies that measures take as key; chosen at the last snapshot where not given.

    Raises:
        UsageError: no such run, several, or a directory that is not a run.
        DataError: the run's files cannot be read.
    """
    path = Path(name)
    if is_there(path / "run.json"):
        return Run(RunStore.open(path), key_freqs=key_freqs)
    _refuse_what_is_no_run(path)
    folder, prefix = (path, "") if path.is_dir() else (path.parent, path.name)
    if folder == Path() and not path.is_dir():
        folder = Path(root)
    runs = find_runs(folder)
    found = [run for run in runs if run.name.startswith(prefix)]
    if len(found) == 1:
        return Run(RunStore.open(found[0]), key_freqs=key_freqs)
    if found:
        raise UsageError(
            f"{str(name)!r} is the beginning of {len(found)} runs: {', '.join(map(str, found))}; give more of it"
        )
    known = ", ".join(run.name for run in runs) or "none"
    raise UsageError(
        f"no run in {folder} begins with {prefix!r}{nearest(prefix, [r.name for r in runs])}; there are {known}"
    )


def _refuse_what_is_no_run(path: Path) -> None:
    """Refuse a file, a part of a run and a folder without runs, saying what to give.

    Raises:
        UsageError: it is one of them.
    """
    for folder in path.absolute().parents[:2] if path.exists() else ():
        if (folder / "run.json").is_file():
            raise UsageError(f"{path} is a part of a run: give the run's directory, {folder}")
    if path.is_file():
        raise UsageError(f"{path} is a file: give a run's directory, such as checkpoints/add-p113-s0-...")
    if path.is_dir() and not find_runs(path):
        rest = sorted(entry.name for entry in path.iterdir())
        holds = f"it holds {', '.join(rest[:5])}{', ...' if len(rest) > 5 else ''}" if rest else "it is empty"
        raise UsageError(
            f"{path} is not a run and holds none: there is no run.json in it or in a folder of it ({holds}); "
            "runs are made by python -m train.run"
        )


def row_scores(
    task: Task, logits: Float[Tensor, "rows n_answers d_vocab_out"]
) -> tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]:
    """Loss of every row in nats (NaN where its answer is undefined), and whether it is answered right."""
    loss = torch.full((len(task.labels),), torch.nan, dtype=torch.float64)
    loss[task.is_defined] = cross_entropy(logits[task.is_defined], task.labels[task.is_defined])
    return loss, (logits.argmax(dim=-1) == task.labels).all(dim=1)


def find_runs(folder: Path) -> list[Path]:
    """Directories of runs right below ``folder``, sorted by name."""
    if not folder.is_dir():
        return []
    return sorted(path.parent for path in folder.glob("[!.]*/run.json"))


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
        """What analyses found once for all snapshots: see ``interp.parts``."""
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
    def key_freqs(self) -> "KeyFreqs":
        """The run's key frequencies and how they were chosen: see ``interp.keyfreqs``.

        Raises:
            UsageError: there are none, with the reason, or a given one is out of range.
        """
        from .keyfreqs import key_freqs_of
        from .parts import NotApplicable

        try:
            return key_freqs_of(self)
        except NotApplicable as reason:
            raise UsageError(f"{self.name} has no key frequencies: {reason}") from None

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


class Snapshot:
    """A run's weights at one step.

    ``model`` is one object for the snapshot's life, so hooks put on it act in ``loss`` and ``run_with_cache``.
    """

    def __init__(self, run: Run, step: int) -> None:
        self.run = run
        self.step = step
        self.kept: dict[tuple[Any, ...], Any] = {}
        """What measures share: see ``interp.parts``."""

    def __repr__(self) -> str:
        return f"<Snapshot {self.run.name} step {self.step:,}>"

    @property
    def task(self) -> Task:
        """The run's task."""
        return self.run.task

    def forget(self) -> None:
        """Let go of what measures have kept."""
        self.kept.clear()

    @functools.cached_property
    def model(self) -> HookedTransformer | HookedMLP:
        """The model in eval mode, on the CPU."""
        weights = self.run.weights(self.step)
        config = self.run.store.config  # how weights were drawn may be unknown, and does not matter here
        check_sizes(config, weights, f"step {self.step} of {self.run.path}")
        model = build_model(config)
        model.load_state_dict(weights)
        return model.eval()

    @functools.cached_property
    def logits(self) -> Float[Tensor, "rows ..."]:
        """Logits at the answer for every row, a-major: [rows, d_vocab_out].

        With several answer positions: [rows, n_answers, d_vocab_out]. Computed once, without hooks in mind:
        under hooks use ``run_with_cache`` or ``loss``.
        """
        logits = self.answer_logits()
        return logits[:, 0] if len(self.task.answer_positions) == 1 else logits

    @torch.no_grad()
    def answer_logits(self) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        """Logits at the answers under the hooks that are on; runs the model.

        Hooks may take means over rows, so under them all rows are one batch.
        """
        positions, tokens = list(self.task.answer_positions), self.task.tokens
        is_hooked = any(point.fwd_hooks for point in self.model.hook_points())
        chunks = tokens.split(len(tokens) if is_hooked else CHUNK_ROWS)
        return torch.cat([self.model(chunk)[:, positions] for chunk in chunks])

    @torch.no_grad()
    def run_with_cache(self, **kwargs: Any) -> "tuple[Tensor, ActivationCache]":
        """Logits [rows, n_ctx, d_vocab_out] and the cache of every hook, for all rows in order (a-major).

        ``kwargs`` go to the model's own ``run_with_cache`` (``names_filter`` saves memory).
        """
        return self.model.run_with_cache(self.task.tokens, **kwargs)

    def loss(self, subset: str = "test") -> float:
        """Mean cross-entropy in nats (float64 log-softmax) over "train", "test" or "all" rows; runs the model.

        Raises:
            ValueError: unknown subset, or the split is not known.
        """
        rows = self.task.rows(subset)
        return float(cross_entropy(self.answer_logits()[rows], self.task.labels[rows]).mean())

    def accuracy(self, subset: str = "test") -> float:
        """Share of the rows of "train", "test" or "all" answered right; runs the model.

        Raises:
            ValueError: unknown subset, or the split is not known.
        """
        rows = self.task.rows(subset)
        right = self.answer_logits()[rows].argmax(-1) == self.task.labels[rows]
        return float(right.all(dim=1).double().mean())
