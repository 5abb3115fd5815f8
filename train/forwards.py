"""Ways to take the loss of K models and its gradient: by autograd for any model, written out for the usual ones.

Each has ``prepare`` (a model's rows as it wants them), ``backward`` (losses, and the weights' gradients) and
``reader`` (logits of rows, for evaluation). They agree up to rounding, and neither the number of threads nor the
models beside it change a model's numbers.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .config import RunConfig
from .dropout import Drop, dropping, keep_all, masks
from .frugal import answer_logits, mlp_logits
from .fused.arrays import Array, buffer
from .fused.layers import Layers
from .fused.nodes import NodeMaker, Nodes
from .fused.rows import RowLoss, Rows
from .fused.tables import TableMaker, Tables
from .fused.threads import Map, Threads
from .loss import RowLosses, cross_entropy, training_loss
from .model import HookedMLP, HookedTransformer
from .optim_config import OptimConfig
from .plan import make_plan
from .precision import products
from .tasks import Task
from .weights import StackedWeights

Score = tuple[Float[Tensor, " rows"], Bool[Tensor, " rows"]]
"""Loss of each row in nats, and whether all its answers are right."""
Reader = Callable[[Tensor], Float[Tensor, "rows n_answers d_vocab_out"]]
"""From numbers of rows to their logits at the answers; any thread may call it."""
Then = Callable[[range, Map, Sequence[Array]], None]
"""What to do with models once their gradients are there; ``each`` maps over pieces of that work.

Rows of numbers may be left, which are first to be added to the gradient, in order.
"""
PIECE = 256
"""Rows whose gradient is taken at once, except by tables."""
EVAL_ROWS = 1000
"""Rows evaluated at once on a CPU."""
DEVICE_EVAL_ROWS = 65_536
"""Rows evaluated at once elsewhere: all of p <= 256; all of p = 997 would take tens of gigabytes."""
BLOCK = 8
"""Models whose tables a thread makes in one go."""


@runtime_checkable
class Forward(Protocol):
    """What a stack asks for; ``labels`` are those of all rows, by model."""

    labels: list[Tensor]
    loss: RowLosses
    """That is trained on, and evaluated."""

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> Any:
        """Rows of model ``k``'s task, as ``backward`` takes them."""
        ...

    def backward(self, batches: Sequence[Any], steps: Sequence[int], then: Then) -> Float[Tensor, " K"]:
        """Mean loss of each model over its batch, in nats; its gradient becomes the weights'. Then ``then``.

        ``steps`` are how many updates each has had, by which what is drawn at random is drawn.
        """
        ...

    def reader(self, k: int, each: Map) -> Reader:
        """Reads rows of model ``k``'s task at the present weights; ``each`` maps over pieces of what that takes."""
        ...


def score(forward: Forward, k: int, rows: Int[Tensor, " chosen"], each: Map) -> Score:
    """Scores of rows of model ``k``'s task; ``each`` maps over pieces of them."""
    logits, labels = forward.reader(k, each), forward.labels[k]

    @torch.no_grad()
    def piece(some: Tensor) -> Score:
        found, right = logits(some), labels[some]
        return forward.loss(found, right), (found.argmax(-1) == right).all(dim=1)

    size = EVAL_ROWS if labels.device.type == "cpu" else DEVICE_EVAL_ROWS
    losses, rights = zip(*each(piece, rows.split(size)), strict=True)
    return torch.cat(losses), torch.cat(rights)


class AutogradForward:
    """Any model: the frugal forward (an MLP's own) under autograd, a piece of a batch at a time."""

    def __init__(
        self,
        model: HookedTransformer | HookedMLP,
        tasks: Sequence[Task],
        weights: StackedWeights,
        threads: Threads,
        configs: Sequence[RunConfig],
    ) -> None:
        self.weights, self.threads, self.configs = weights, threads, configs
        self.loss = training_loss(configs[0].optim)
        device = weights.values.device
        self.tokens = tasks[0].tokens.to(device)
        self.labels = [task.labels.to(device) for task in tasks]
        self.positions = tasks[0].answer_positions
        self.is_mlp = isinstance(model, HookedMLP)
        self.cfg = model.cfg
        self.plan = make_plan(self.tokens, self.positions, model.cfg.n_layers)
        self.piece = PIECE if device.type == "cpu" else len(self.tokens)

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Any]:
        """What the model reads, and the labels, in pieces."""
        pieces = rows.to(self.tokens.device).split(self.piece)
        return [(self.tokens[r] if self.is_mlp else self.plan.select(r), self.labels[k][r]) for r in pieces]

    def logits(self, k: int, inputs: Any, drop: Drop = keep_all) -> Float[Tensor, "rows n_answers d_vocab_out"]:
        """Logits of model ``k`` at the answers."""
        own = self.weights.own[k]
        if self.is_mlp:
            return mlp_logits(own, self.cfg, inputs)[:, None].expand(-1, len(self.positions), -1)
        return answer_logits(own, self.cfg, inputs, drop=drop)

    def backward(self, batches: Sequence[list[Any]], steps: Sequence[int], then: Then) -> Float[Tensor, " K"]:
        """Pieces' gradients are added up in order."""

        def one(k: int, each: Map) -> Tensor:
            leaves = [self.weights.own[k][name] for name in self.weights.trained]
            sizes = [len(labels) for _, labels in batches[k]]
            drops = self._drops(k, steps[k], sizes)

            def piece(i: int) -> tuple[Tensor, Tensor]:
                inputs, labels = batches[k][i]
                with products(self.configs[0].optim.precision, labels.device):
                    loss = self.loss(self.logits(k, inputs, drops[i]), labels).sum() / sum(sizes)
                    found = torch.autograd.grad(loss, leaves, materialize_grads=True)
                return loss.detach(), torch.cat([gradient.flatten() for gradient in found])

            losses, gradients = zip(*each(piece, range(len(sizes))), strict=True)
            self.weights.grads[k] = gradients[0]
            for more in gradients[1:]:
                self.weights.grads[k] += more
            then(range(k, k + 1), each, [])
            return torch.stack(losses).sum()

        return torch.stack(self.threads.over(one, len(batches)))

    def _drops(self, k: int, step: int, sizes: Sequence[int]) -> list[Drop]:
        """Dropout of each piece: the whole batch's masks, cut up."""
        rate = self.configs[k].optim.dropout
        if rate == 0:
            return [keep_all] * len(sizes)
        given = (sum(sizes), self.cfg, len(self.positions), self.tokens.device)
        cut = {name: mask.split(list(sizes)) for name, mask in masks(self.configs[k].seed, step, rate, *given).items()}
        return [dropping({name: pieces[i] for name, pieces in cut.items()}) for i in range(len(sizes))]

    def reader(self, k: int, each: Map) -> Reader:
        """By the same forward in float32, in pieces."""
        return lambda rows: torch.cat([self.logits(k, inputs) for inputs, _ in self.prepare(k, rows)])


class _Gradient:
    """A row of gradients, as numbers and by name."""

    def __init__(self, weights: StackedWeights, row: Tensor) -> None:
        self.flat = row.numpy()
        self.by_name = {name: t.numpy() for name, t in weights.split(row).items()}


class LayerForward:
    """Transformers of any depth with ReLU, on a CPU in float32: see ``fused.layers``."""

    loss = staticmethod(cross_entropy)

    @staticmethod
    def serves(model: HookedTransformer | HookedMLP, optim: OptimConfig) -> bool:
        """Whether this model can be taken so, trained so."""
        cfg = model.cfg
        is_usual = optim.loss == "softmax" and optim.loss_precision == "float64" and optim.dropout == 0
        return (
            isinstance(model, HookedTransformer)
            and is_usual
            and cfg.output_scale == 1
            and cfg.act_fn == "relu"
            and cfg.device == "cpu"
            and cfg.dtype == torch.float32
        )

    def __init__(
        self,
        cfg: Any,
        tasks: Sequence[Task],
        weights: StackedWeights,
        threads: Threads,
        precision: str = "float32",
    ) -> None:
        self.weights, self.threads = weights, threads
        self.labels = [task.labels for task in tasks]
        plan = make_plan(tasks[0].tokens, tasks[0].answer_positions, cfg.n_layers)
        self.n_answers = len(tasks[0].answer_positions)
        self.nodes = NodeMaker(plan, cfg.attention_dir == "causal", cfg.n_layers)
        arrays = [{name: t.detach().numpy() for name, t in own.items()} for own in weights.own]
        self.layers = [Layers(cfg, plan, W, in_bfloat16=precision == "bfloat16") for W in arrays]
        self._own = [_Gradient(weights, row) for row in weights.grads]
        self._spare = threading.local()

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Nodes]:
        """The rows' nodes, in pieces. Rows of one first operand go together: they share nodes."""
        return [self.nodes(self.labels[k], piece) for piece in rows.sort().values.split(PIECE)]

    def backward(self, batches: Sequence[list[Nodes]], steps: Sequence[int], then: Then) -> Float[Tensor, " K"]:
        """Pieces' gradients are added up in order."""

        def one(k: int, each: Map) -> Tensor:
            pieces = batches[k]
            share = 1.0 / sum(len(nodes.label) for nodes in pieces)
            rows = self._gradients(k, len(pieces))

            def piece(i: int) -> float:
                return self.layers[k].gradients(pieces[i], share, rows[i].by_name)

            self.layers[k].read()
            losses = list(each(piece, range(len(pieces))))
            then(range(k, k + 1), each, [row.flat for row in rows[1:]])
            return torch.tensor(sum(losses), dtype=torch.float64)

        return torch.stack(self.threads.over(one, len(batches)))

    def _gradients(self, k: int, n: int) -> "list[_Gradient]":
        """Where the gradients of ``n`` pieces go: the first to the stack's, the others to this thread's memory."""
        spare = vars(self._spare).setdefault("rows", [])
        while len(spare) < n - 1:
            spare.append(_Gradient(self.weights, torch.empty_like(self.weights.grads[k])))
        return [self._own[k], *spare[: n - 1]]

    def reader(self, k: int, each: Map) -> Reader:
        """By the same forward."""
        self.layers[k].read()

        def logits(rows: Tensor) -> Tensor:
            found = self.layers[k].logits(self.nodes(self.labels[k], rows))
            return torch.from_numpy(found).unflatten(0, (len(rows), self.n_answers))

        return logits


class TableForward:
    """Of those that ``LayerForward`` serves, the ones of one layer without layer norm: see ``fused.tables``."""

    loss = staticmethod(cross_entropy)

    @staticmethod
    def serves(model: HookedTransformer | HookedMLP, optim: OptimConfig, task: Task) -> bool:
        """Whether this model on this task can be taken so."""
        cfg = model.cfg
        sees_all = cfg.attention_dir == "bidirectional" or task.answer_positions == (task.tokens.shape[1] - 1,)
        is_plain = cfg.n_layers == 1 and cfg.normalization_type is None and len(task.answer_positions) == 1
        return LayerForward.serves(model, optim) and is_plain and sees_all

    def __init__(
        self,
        cfg: Any,
        tasks: Sequence[Task],
        weights: StackedWeights,
        threads: Threads,
        precision: str = "float32",
    ) -> None:
        self.cfg, self.weights, self.threads = cfg, weights, threads
        self.labels = [task.labels for task in tasks]
        self.plan = make_plan(tasks[0].tokens, tasks[0].answer_positions, cfg.n_layers)
        self.makers = [self._maker(k, k + 1) for k in range(len(tasks))]
        self.row_loss = RowLoss(cfg, self.plan, self.makers[0], in_bfloat16=precision == "bfloat16")
        size = max(1, min(BLOCK, len(tasks) // threads.count))
        self.blocks = [range(first, min(first + size, len(tasks))) for first in range(0, len(tasks), size)]
        self.block_makers = [self.makers[b[0]] if len(b) == 1 else self._maker(b[0], b[-1] + 1) for b in self.blocks]

    def _maker(self, first: int, last: int) -> TableMaker:
        """Of the models from ``first`` to before ``last``."""
        weights = self.weights
        W = {_short(name): t.detach()[first:last].numpy() for name, t in weights.stacked.items()}
        d_W = {_short(name): t[first:last].numpy() for name, t in weights.split(weights.grads).items()}
        return TableMaker(self.cfg, self.plan, W, d_W)

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Rows]:
        """The rows' table entries and labels, in shards."""
        return self.row_loss.rows(self.labels[k], rows).shards()

    def backward(self, batches: Sequence[list[Rows]], steps: Sequence[int], then: Then) -> Float[Tensor, " K"]:
        """Blocks of models on threads; a model at a time, its shards on threads, where there are too few."""
        losses = torch.empty(len(batches), dtype=torch.float64)

        def one(i: int, each: Map) -> None:
            maker = self.block_makers[i]
            tables = maker.forward(each)
            found = Tables(*(buffer(f"d {name}", *table.shape) for name, table in tables._asdict().items()))
            for b, k in enumerate(self.blocks[i]):
                losses[k] = self.row_loss.gradients(tables.of(b), batches[k], found.of(b), each)
            maker.backward(found, each)
            then(self.blocks[i], each, [])

        self.threads.over(one, len(self.blocks))
        return losses

    def reader(self, k: int, each: Map) -> Reader:
        """By the same tables."""
        logits = self.row_loss.reader(self.makers[k].forward(each).of(0))
        return lambda rows: torch.from_numpy(logits(self.row_loss.rows(self.labels[k], rows)))[:, None]


def _short(name: str) -> str:
    return name.rpartition(".")[2]
