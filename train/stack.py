"""K models of one shape that train side by side: one update steps them all. A single run is a stack of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .batches import Batches
from .config import RunConfig
from .ensemble import check_shapes
from .forwards import AutogradForward, Forward, LayerForward, TableForward, score
from .fused.arrays import Array
from .fused.threads import Map, Threads
from .model import build_model
from .optim import Optimizer
from .precision import check_precision
from .streams import normal
from .tasks import Task, make_task
from .vmapped import VmapForward
from .weights import StackedWeights


class Stack:
    """Models, optimisers and batches of K runs.

    Every run keeps its own step, data, hyper-parameters and optimiser state. Model k's numbers do not depend
    on the others: on a CPU they are, bit for bit, those of a stack of one.
    """

    def __init__(self, configs: Sequence[RunConfig], device: torch.device, threads: int = 1) -> None:
        """Initial weights of each config.

        Raises:
            UsageError: the configs are not of one shape, or the device has not their precision.
        """
        check_shapes(configs)
        check_precision(configs[0], device)
        self.configs = list(configs)
        self.tasks: list[Task] = [make_task(config) for config in configs]
        models = [build_model(config, device) for config in configs]
        self.model = models[0]
        self.threads = Threads(threads)
        self.device = device
        self.weights = StackedWeights(models)
        self.optimizer = Optimizer(
            [config.optim for config in configs], self.weights, [config.seed for config in configs]
        )
        self._set_up()

    def _set_up(self) -> None:
        self.batches = [Batches(task, config) for task, config in zip(self.tasks, self.configs, strict=True)]
        self.forward = self._forward()
        self.full = [
            self.forward.prepare(k, batches.rows) if batches.is_full else None for k, batches in enumerate(self.batches)
        ]

    def _forward(self) -> Forward:
        optim = self.configs[0].optim
        if self.device.type != "cpu":
            return VmapForward(self.model, self.tasks, self.weights, self.configs)
        given = (self.tasks, self.weights, self.threads)
        if TableForward.serves(self.model, optim, self.tasks[0]):
            return TableForward(self.model.cfg, *given, optim.precision)
        if LayerForward.serves(self.model, optim):
            return LayerForward(self.model.cfg, *given, optim.precision)
        return AutogradForward(self.model, *given, self.configs)

    def __len__(self) -> int:
        return len(self.configs)

    # ---- training --------------------------------------------------------------------------------

    def update(self) -> Float[Tensor, " K"]:
        """One optimiser step of every model; the losses before it, in nats, stay on the device."""
        batches, steps = [self._batch(k) for k in range(len(self))], list(self.optimizer.steps)
        if self.configs[0].optim.weight_noise == 0:
            return self.forward.backward(batches, steps, self.optimizer.update)
        values = self.weights.values
        kept = values.clone()
        for k, config in enumerate(self.configs):
            values[k] += config.optim.weight_noise * normal(config.seed, f"weight_noise/{steps[k]}", values[k])

        def then(models: range, each: Map, more: Sequence[Array]) -> None:
            rows = slice(models.start, models.stop)
            values[rows] = kept[rows]
            self.optimizer.update(models, each, more)

        return self.forward.backward(batches, steps, then)

    def _batch(self, k: int) -> Any:
        full = self.full[k]
        return self.forward.prepare(k, self.batches[k].at(self.optimizer.steps[k])) if full is None else full

    def evaluate(self, chosen: Sequence[int]) -> list[dict[str, float]]:
        """Loss (nats) and accuracy of these models over their training and their test rows.

        A row is right if all its answers are.
        """

        def one(i: int, each: Map) -> dict[str, float]:
            task = self.tasks[chosen[i]]
            rows = task.rows("all")
            loss, right = (values.cpu() for values in score(self.forward, chosen[i], rows, each))
            assert task.is_train is not None
            is_train = task.is_train[rows]
            return {
                "train_loss": _mean(loss, is_train),
                "test_loss": _mean(loss, ~is_train),
                "train_acc": _mean(right.double(), is_train),
                "test_acc": _mean(right.double(), ~is_train),
            }

        return self.threads.over(one, len(chosen))

    # ---- state -----------------------------------------------------------------------------------

    def model_state(self, k: int) -> dict[str, Tensor]:
        """Weights of model ``k`` by name; views."""
        return self.weights.state(k)

    def full_state(self, k: int) -> dict[str, Tensor]:
        """Weights (``model.*``) and the optimiser's state (``exp_avg.*`` ...) of model ``k``; views."""
        tensors = {f"model.{name}": tensor for name, tensor in self.weights.state(k).items()}
        for key, moments in self.optimizer.state.items():
            tensors |= {f"{key}.{name}": tensor for name, tensor in self.weights.split(moments[k]).items()}
        return tensors

    def load(self, k: int, tensors: Mapping[str, Tensor], step: int) -> None:
        """Set model ``k`` to a saved ``full_state`` of ``step``."""
        self.weights.load(k, {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        self.optimizer.steps[k] = step
        for key, moments in self.optimizer.state.items():
            for name, into in self.weights.split(moments[k]).items():
                into.copy_(tensors[f"{key}.{name}"])

    def keep(self, chosen: Sequence[int]) -> None:
        """Drop all runs but these."""
        self.weights.keep(chosen)
        self.optimizer.keep(chosen)
        self.configs = [self.configs[k] for k in chosen]
        self.tasks = [self.tasks[k] for k in chosen]
        self._set_up()


def _mean(values: Float[Tensor, " rows"], mask: Bool[Tensor, " rows"]) -> float:
    return float(values[mask].mean())
