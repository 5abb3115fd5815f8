"""The training loop: evaluate, save, update, in that order, at steps on a schedule; consumers read files."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .config import RunConfig
from .errors import DivergedError, Stopped
from .frugal import answer_logits, make_plan
from .model import HookedMLP, HookedTransformer, build_model
from .optim import build_optimizer, lr_at
from .schedule import SnapshotRule, eval_grid, log_grid
from .store import RunStore
from .streams import stream
from .tasks import Task, make_task

RESUME_EVERY_S = 30.0
"""Seconds between refreshes of the resume state."""
REPORT_EVERY_S = 0.25
"""Seconds between reports of progress."""
EVAL_ROWS = 32_768
"""Rows evaluated at once, to bound memory."""


@dataclass(frozen=True)
class Progress:
    """What a caller may show while a run trains."""

    step: int
    row: dict[str, Any] | None
    """The latest evaluation's log row."""
    last_snapshot: int | None


def cross_entropy(
    logits: Float[Tensor, "rows answers d_vocab_out"], labels: Int[Tensor, "rows answers"]
) -> Float[Tensor, " rows"]:
    """Loss of each row in nats, averaged over its answers; the log-softmax is taken in float64.

    In float32 a log-probability near 0 is a multiple of 6e-8, which stalls training near there (Nanda et
    al. 2023, 2301.05217, train in float64 for that reason).
    """
    flat = F.cross_entropy(logits.double().flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view(labels.shape).mean(dim=1)


def train(
    config: RunConfig,
    store: RunStore,
    device: torch.device,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    stop_signal: Callable[[], int | None] = lambda: None,
) -> None:
    """Train ``config`` into ``store`` to its last step, from its resume state if it has one.

    The caller holds ``store.lock()``. Within one machine, thread count and version of torch, a run stopped
    and resumed is bit for bit the run never stopped (on CPU).

    Raises:
        Stopped: ``stop_signal`` returned a signal's number; everything is saved.
        DivergedError: the training loss is not finite; the log up to there is saved.
        DataError: files of the run are corrupt.
        OSError: the disk refuses; what was saved before stays.
    """
    loop = _Loop(config, store, device, progress)
    while loop.step < config.schedule.steps:
        loop.events()
        signum = stop_signal()
        if signum is not None:
            loop.save_resume()
            raise Stopped(signum, loop.step)
        loop.update()
    loop.events()
    loop.save_resume()
    store.mark_done(loop.step)


class _Loop:
    """The state of one training session."""

    def __init__(
        self, config: RunConfig, store: RunStore, device: torch.device, progress: Callable[[Progress], None]
    ) -> None:
        self.config, self.store, self.progress = config, store, progress
        self.task = make_task(config)
        self.model = build_model(config, device)
        self.model.train()
        self.forward = batch_forward(self.model, self.task, device)
        self.optimizer = build_optimizer(self.model.parameters(), config.optim)
        self.rule = SnapshotRule()
        self.batches = _Batches(self.task, config, device)
        self.labels = self.task.labels.to(device)
        last = config.schedule.steps
        self.snapshot_steps = set(log_grid(config.schedule.per_decade, last))
        self.eval_steps = {*eval_grid(last), *self.snapshot_steps, *store.steps, last}
        self.losses: list[Tensor] = []
        self.row: dict[str, Any] | None = None
        self.step, self.wall_before = 0, 0.0
        self._resume()
        self.last_snapshot = max((s for s in store.steps if s <= self.step), default=None)
        self.started = self.saved_at = time.monotonic()
        self.reported_at = 0.0

    # ---- events ----------------------------------------------------------------------------------

    def events(self) -> None:
        """Evaluate, save and report what is due at this step, before its update."""
        now = time.monotonic()
        if self.step in self.eval_steps:
            self._evaluate()
        if now - self.saved_at > RESUME_EVERY_S:
            self.save_resume()
        if now - self.reported_at > REPORT_EVERY_S or self.step == self.config.schedule.steps:
            self.reported_at = now
            self.progress(Progress(self.step, self.row, self.last_snapshot))

    def _evaluate(self) -> None:
        self._flush_losses()
        scores = evaluate(self.forward, self.labels, self.task)
        if not math.isfinite(scores["train_loss"]):
            raise self._diverged(scores["train_loss"], self.step)
        self.row = {"step": self.step, **scores, "wall_s": round(self._wall_s(), 3)}
        self.store.append_log([self.row])
        on_grid = self.step in self.snapshot_steps
        extra = not on_grid and self.rule.wants(scores["test_loss"], scores["test_acc"])
        is_last = self.step == self.config.schedule.steps
        if on_grid or extra or is_last:
            self.store.save_snapshot(self.step, self.model.state_dict())
            self.last_snapshot = self.step
        if on_grid or extra:
            self.rule.saved(scores["test_loss"], scores["test_acc"], extra=extra)
            self.save_resume()

    # ---- update ----------------------------------------------------------------------------------

    def update(self) -> None:
        """One optimiser step; the loss stays on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr_at(self.step, self.config.optim)
        rows = self.batches.at(self.step)
        loss = cross_entropy(self.forward(rows), self.labels[rows]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.detach())
        self.step += 1

    # ---- log -------------------------------------------------------------------------------------

    def _flush_losses(self) -> None:
        """Write the losses of the updates since the last flush, except where an evaluation wrote that step."""
        if not self.losses:
            return
        values = torch.stack(self.losses).tolist()
        first = self.step - len(values)
        name = "train_loss" if self.config.optim.batch_size is None else "batch_loss"
        self.losses = []
        rows = [{"step": first + i, name: value} for i, value in enumerate(values)]
        finite = [row for row in rows if math.isfinite(row[name])]
        evaluated = self.row["step"] if self.row is not None else None
        self.store.append_log([row for row in finite if row["step"] != evaluated])
        if len(finite) < len(rows):
            bad = next(row for row in rows if row not in finite)
            raise self._diverged(bad[name], bad["step"])

    def _diverged(self, loss: float, step: int) -> DivergedError:
        lr = self.config.optim.lr
        return DivergedError(f"the training loss is {loss} at step {step}: lower --lr (it is {lr:g})")

    def _wall_s(self) -> float:
        return self.wall_before + time.monotonic() - self.started

    # ---- resume state ----------------------------------------------------------------------------

    def save_resume(self) -> None:
        """Make the log durable up to this step, then replace the resume state."""
        self._flush_losses()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for key in ("exp_avg", "exp_avg_sq"):
                if parameter in self.optimizer.state:
                    tensors[f"{key}.{name}"] = self.optimizer.state[parameter][key]
        state = {"step": self.step, "wall_s": self._wall_s(), "rule": vars(self.rule)}
        self.store.save_resume(tensors, state)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        found = self.store.load_resume()
        if found is None:
            self.store.truncate_log(0)
            return
        tensors, state = found
        self.step, self.wall_before = state["step"], state["wall_s"]
        self.rule = SnapshotRule(**state["rule"])
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        self.model.load_state_dict(weights)
        if self.step > 0:
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    self.optimizer.state[parameter] = {
                        "step": torch.tensor(float(self.step), device=parameter.device),
                        "exp_avg": tensors[f"exp_avg.{name}"].to(parameter.device),
                        "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(parameter.device),
                    }
        self.store.truncate_log(self.step)


class _Batches:
    """Training rows of each step: all of them, or a piece of the epoch's shuffle, a function of the step."""

    def __init__(self, task: Task, config: RunConfig, device: torch.device) -> None:
        self.rows = task.rows("train").to(device)
        self.seed, self.size = config.seed, config.optim.batch_size
        self.epoch, self.order = -1, self.rows

    def at(self, step: int) -> Int[Tensor, " batch"]:
        if self.size is None or self.size >= len(self.rows):
            return self.rows
        per_epoch = -(-len(self.rows) // self.size)
        epoch, piece = divmod(step, per_epoch)
        if epoch != self.epoch:
            shuffle = torch.randperm(len(self.rows), generator=stream(self.seed, f"batch/{epoch}"))
            self.epoch, self.order = epoch, self.rows[shuffle.to(self.rows.device)]
        return self.order[piece * self.size : (piece + 1) * self.size]


def batch_forward(model: HookedTransformer | HookedMLP, task: Task, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from row numbers to logits [rows, answers, d_vocab_out]: the frugal forward, or an MLP's own."""
    tokens = task.tokens.to(device)
    if isinstance(model, HookedMLP):
        return lambda rows: model(tokens[rows])[:, list(task.answer_positions)]
    plan = make_plan(tokens, task.answer_positions, model.cfg.n_layers)
    params = dict(model.named_parameters())
    return lambda rows: answer_logits(params, model.cfg, plan.select(rows))


@torch.no_grad()
def evaluate(forward: Callable[[Tensor], Tensor], labels: Int[Tensor, "rows answers"], task: Task) -> dict[str, float]:
    """Loss (nats) and accuracy over the training rows and over the test rows; a row is right if all its answers are."""
    rows = task.rows("all").to(labels.device)
    losses, rights = [], []
    for chunk in rows.split(EVAL_ROWS):
        logits = forward(chunk)
        losses.append(cross_entropy(logits, labels[chunk]))
        rights.append((logits.argmax(-1) == labels[chunk]).all(dim=1))
    assert task.is_train is not None
    is_train = task.is_train.to(rows.device)[rows]
    loss, right = torch.cat(losses), torch.cat(rights).double()
    return {
        "train_loss": _mean(loss, is_train),
        "test_loss": _mean(loss, ~is_train),
        "train_acc": _mean(right, is_train),
        "test_acc": _mean(right, ~is_train),
    }


def _mean(values: Float[Tensor, " rows"], mask: Bool[Tensor, " rows"]) -> float:
    return float(values[mask].mean())
