"""The vmapped pass: K models at once on an accelerator, each operation of forward and backward batched over models.

A step copies only row numbers to the device and reads nothing back. On CUDA the whole pass is captured once as a graph
and replayed with a single launch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import Knows
from train.model import HookedMLP
from train.model.precision import gradients, products

from .dropout import Drop, dropping, keep_all, masks, sites
from .entries import make_plan
from .frugal import answer_logits, mlp_logits, take_rows
from .functional import FunctionalPass
from .loss import training_loss
from .protocol import AfterGradients, Ensemble, Reader, check_knows
from .threads import Map

MOST_ENTRIES = 1024
"""Largest table whose gradient is computed by a matrix product; for larger tables PyTorch sorts the rows."""
WARM_UP = 3
"""Passes before graph capture, during which libraries allocate their workspaces."""
FREE_SHARE = 0.6
"""Fraction of the free memory that models computed together may use."""


class _TakeByProduct(torch.autograd.Function):
    """Rows of a table; the gradient is a matrix product with a one-hot matrix.

    A scatter-add is either not reproducible (atomic additions) or slow if all rows use one entry, such as "=".
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(table: Tensor, index: Tensor) -> Tensor:
        return table[index]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        table, index = inputs
        ctx.save_for_backward(index)
        ctx.entries = table.shape[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        (grad,) = grads
        is_row = index.flatten()[:, None] == torch.arange(ctx.entries, device=index.device)
        return is_row.to(grad).T @ grad.flatten(0, index.dim() - 1), None


def take(table: Float[Tensor, "T width"], index: Int[Tensor, "*n"]) -> Float[Tensor, "*n width"]:
    """Rows of a table, with a reproducible gradient."""
    if table.shape[0] > MOST_ENTRIES:
        return take_rows(table, index)
    return _TakeByProduct.apply(table, index)  # type: ignore[return-value]


@functools.cache
def _side_stream(device: torch.device) -> Any:
    """The stream on which all graphs of a device are captured, since libraries allocate a workspace per stream."""
    return torch.cuda.Stream(device)


class Replay:
    """Calls of a function that reads and writes the same tensors each time: on CUDA a graph, captured once.

    The function is an argument of each call and not stored, because a pass and its replay would form a reference cycle,
    and a dropped pass would keep its graph's memory until garbage collection.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._graph: Any = None

    def __call__(self, function: Callable[[], None]) -> None:
        """Call the function, or replay its graph."""
        if self.device.type != "cuda":
            function()
            return
        if self._graph is None:
            self._graph = self._record(function)
        self._graph.replay()

    def _record(self, function: Callable[[], None]) -> Any:
        # A graph is captured on the current device by default; work on another device is silently left out.
        with torch.cuda.device(self.device):
            aside, here = _side_stream(self.device), torch.cuda.current_stream(self.device)
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    function()
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=aside):
                function()
        return graph


class VmappedPass:
    """A ``protocol.Pass`` for accelerators, without threads; the pass also runs on a CPU, for tests.

    Args:
        models: the ensemble.
        at_once: number of models computed together; by default as many as fit in the device's memory.
    """

    NAME: ClassVar[str] = "vmapped"
    KNOWS: ClassVar[Knows] = FunctionalPass.KNOWS

    def __init__(self, models: Ensemble, at_once: int | None = None) -> None:
        check_knows(self.NAME, self.KNOWS, models.configs)
        self.weights, self.configs, self.loss = models.weights, models.configs, training_loss(models.configs[0].optim)
        self.device = models.weights.values.device
        self.cfg, self.is_mlp = models.model.cfg, isinstance(models.model, HookedMLP)
        self.tokens, self.positions = models.tokens.to(self.device), models.answer_positions
        self.plan = make_plan(models.tokens, self.positions, self.cfg.n_layers).to(self.device)
        self.stacked_labels = torch.stack(models.labels())
        self.labels = list(self.stacked_labels)
        K = len(self.labels)
        self.losses = torch.zeros(K, dtype=torch.float64, device=self.device)
        self._batches: list[Tensor] = []
        self._leaves: list[tuple[slice, dict[str, Tensor]]] = []
        self._at_once = at_once
        self._allocate(0)

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the device is an accelerator."""
        return device.type != "cpu"

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> Int[Tensor, " chosen"]:
        """The row numbers themselves."""
        return rows

    def backward(self, batches: Sequence[Tensor], steps: Sequence[int], then: AfterGradients) -> Float[Tensor, " K"]:
        """Losses and gradients, without a sync: the losses stay on the device."""
        self._load(list(batches))
        self._draw(steps)
        if not self._leaves:
            self._split()
        self._replay(self._all)
        then(range(len(self.labels)), map, [])
        return self.losses.clone()

    def reader(self, k: int, each: Map) -> Reader:
        """A reader that uses the training forward, in float32 and for one model at a time."""
        own = {name: tensor.detach() for name, tensor in self.weights.own[k].items()}

        return lambda rows: self._logits(own, rows.to(self.device))

    # ---- a pass ----------------------------------------------------------------------------------

    def _logits(self, params: dict[str, Tensor], rows: Tensor, drop: Drop = keep_all) -> Tensor:
        if self.is_mlp:
            return mlp_logits(params, self.cfg, self.tokens[rows], take)[:, None].expand(-1, len(self.positions), -1)
        return answer_logits(params, self.cfg, self.plan.select(rows), take, drop=drop)

    def _loss(
        self, params: dict[str, Tensor], labels: Tensor, rows: Tensor, share: Tensor, kept: dict[str, Tensor]
    ) -> Tensor:
        logits = self._logits(params, rows, dropping(kept) if kept else keep_all)
        return (self.loss(logits, labels[rows]) * share).sum()

    def _pass(self, some: slice, leaves: dict[str, Tensor]) -> None:
        """Compute losses and gradients of some models, and write both into the stack's tensors."""
        params = leaves | {name: tensor[some] for name, tensor in self.weights.frozen.items()}
        drop_masks = {name: mask[some] for name, mask in self.masks.items()}
        with products(self.configs[0].optim.precision, self.device):
            per_model = torch.vmap(self._loss)(
                params, self.stacked_labels[some], self.rows[some], self.share[some], drop_masks
            )
        grads = gradients(per_model.sum(), list(leaves.values()), self.configs[0].optim.precision, self.device)
        self.losses[some] = per_model.detach()
        for into, gradient in zip(self.weights.split(self.weights.grads[some]).values(), grads, strict=True):
            into.copy_(gradient)

    def _all(self) -> None:
        for some, leaves in self._leaves:
            self._pass(some, leaves)

    # ---- memory ----------------------------------------------------------------------------------

    def _load(self, batches: list[Tensor]) -> None:
        """Copy the row numbers to the device; models with fewer rows are padded with rows of share 0."""
        if len(batches) == len(self._batches) and all(a is b for a, b in zip(batches, self._batches, strict=True)):
            return
        most = max(map(len, batches))
        if most > self.rows.shape[1]:
            self._allocate(most)
        rows = torch.zeros(self.rows.shape, dtype=torch.int64)
        share = torch.zeros(self.share.shape, dtype=torch.float64)
        for k, batch in enumerate(batches):
            rows[k] = batch[0]  # pad with a row of the batch, since row 0 may be undefined and have no label
            rows[k, : len(batch)] = batch
            share[k, : len(batch)] = 1 / len(batch)
        if self.device.type == "cuda":
            rows, share = rows.pin_memory(), share.pin_memory()
        self.rows.copy_(rows, non_blocking=True)
        self.share.copy_(share, non_blocking=True)
        self._batches = batches

    def _draw(self, steps: Sequence[int]) -> None:
        """Draw this update's dropout masks, from each model's own stream."""
        if not self.masks:
            return
        for k, (config, step, batch) in enumerate(zip(self.configs, steps, self._batches, strict=True)):
            shape = (len(batch), self.cfg, len(self.positions), self.device)
            for name, mask in masks(config.seed, step, config.optim.dropout, *shape).items():
                self.masks[name][k, : len(batch)] = mask

    def _allocate(self, n: int) -> None:
        K = len(self.labels)
        self.rows = torch.zeros(K, n, dtype=torch.int64, device=self.device)
        self.share = torch.zeros(K, n, dtype=torch.float64, device=self.device)
        queries = sites(self.cfg, len(self.positions)) if self.configs[0].optim.dropout > 0 else {}
        self.masks = {name: torch.ones(K, n, q, self.cfg.d_model, device=self.device) for name, q in queries.items()}
        self._leaves = []  # the number of models computed together depends on the number of rows
        self._replay = Replay(self.device)

    def _split(self) -> None:
        """Split the ensemble into groups of models that are computed together."""
        K = len(self.labels)
        size = self._at_once or self._fitting()
        chunks = [slice(first, min(first + size, K)) for first in range(0, K, size)]
        self._leaves = [(some, self.weights.leaves(self.weights.values[some])) for some in chunks]

    def _fitting(self) -> int:
        """Number of models whose pass fits in the device's memory, measured on one model."""
        K = len(self.labels)
        if self.device.type != "cuda":
            return K
        one = slice(0, 1)
        leaves = self.weights.leaves(self.weights.values[one])
        self._pass(one, leaves)  # libraries allocate their workspace at the first call
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self._pass(one, leaves)
        need = max(1, torch.cuda.max_memory_allocated(self.device) - before)
        torch.cuda.empty_cache()  # memory cached by earlier passes is free as well
        free = torch.cuda.mem_get_info(self.device)[0]
        most = max(1, int(FREE_SHARE * free / need))
        return -(-K // -(-K // most))  # the smallest size that needs no more groups than ``most`` would
