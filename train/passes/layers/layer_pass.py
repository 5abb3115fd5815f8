"""The layers pass: transformers of any depth with a compiled forward and backward, on a CPU in float32."""

import threading
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from train.config.knows import ANY, Knows
from train.passes.entries import make_plan
from train.passes.frugal import TASKS
from train.passes.loss import cross_entropy
from train.passes.protocol import PIECE, AfterGradients, Ensemble, Reader, check_knows
from train.passes.threads import Map
from train.passes.weights import StackedWeights

from .layers import Layers
from .nodes import NodeMaker, Nodes


class _Gradient:
    """A row of gradients, as a flat array and as named views."""

    def __init__(self, weights: StackedWeights, row: Tensor) -> None:
        self.flat = row.numpy()
        self.by_name = {name: t.numpy() for name, t in weights.split(row).items()}


class LayerPass:
    """A ``protocol.Pass`` that computes with ``Layers``."""

    NAME: ClassVar[str] = "layers"
    KNOWS: ClassVar[Knows] = {
        **TASKS,
        **{f"model.{name}": ANY for name in ("n_layers", "d_model", "n_heads", "d_head", "d_mlp")},
        "model.norm": {"none", "pre", "post"},
        "model.positions": {"learned", "sinusoidal"},
        "model.attention": {"causal", "bidirectional"},
        "model.attn_rate": ANY,
        "model.biases": {"none", "mlp", "all"},
        "model.outputs": {"answers", "tokens"},
    }
    loss = staticmethod(cross_entropy)

    def __init__(self, models: Ensemble) -> None:
        check_knows(self.NAME, self.KNOWS, models.configs)
        cfg, weights = models.model.cfg, models.weights
        self.weights, self.threads, self.labels = weights, models.threads, models.labels()
        plan = make_plan(models.tokens, models.answer_positions, cfg.n_layers)
        self.n_answers = len(models.answer_positions)
        self.nodes = NodeMaker(plan, cfg.attention_dir == "causal", cfg.n_layers)
        arrays = [{name: t.detach().numpy() for name, t in own.items()} for own in weights.own]
        self.layers = [Layers(cfg, plan, W) for W in arrays]
        self._own = [_Gradient(weights, row) for row in weights.grads]
        self._spare = threading.local()

    @staticmethod
    def runs_on(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the device is a CPU and the weights are float32."""
        return device.type == "cpu" and dtype == torch.float32

    def prepare(self, k: int, rows: Int[Tensor, " chosen"]) -> list[Nodes]:
        """The nodes of the rows, in pieces; rows with equal first operands stay together, because they share nodes."""
        return [self.nodes(self.labels[k], piece) for piece in rows.sort().values.split(PIECE)]

    def backward(
        self, batches: Sequence[list[Nodes]], steps: Sequence[int], then: AfterGradients
    ) -> Float[Tensor, " K"]:
        """Losses and gradients; the pieces' gradients are summed in order."""

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
        """Rows for the gradients of ``n`` pieces: the stack's own for the first, thread-local memory for the others."""
        spare = vars(self._spare).setdefault("rows", [])
        while len(spare) < n - 1:
            spare.append(_Gradient(self.weights, torch.empty_like(self.weights.grads[k])))
        return [self._own[k], *spare[: n - 1]]

    def reader(self, k: int, each: Map) -> Reader:
        """A reader that uses the compiled forward."""
        self.layers[k].read()

        def logits(rows: Tensor) -> Tensor:
            flat = self.layers[k].logits(self.nodes(self.labels[k], rows))
            return torch.from_numpy(flat).unflatten(0, (len(rows), self.n_answers))

        return logits
