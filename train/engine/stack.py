"""A stack of K models of one shape that train side by side; a single run is a stack of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from train.config.run import RunConfig
from train.engine.readers import pass_of
from train.model import build_model
from train.model.precision import check_precision
from train.optim.noise import add_weight_noise
from train.optim.optimizer import Optimizer
from train.passes.arrays import Array
from train.passes.protocol import Ensemble, Pass, score
from train.passes.threads import Map, Threads
from train.passes.weights import StackedWeights
from train.tasks.batches import Batches
from train.tasks.task import Task, make_task

from .shapes import check_shapes


class Stack:
    """Models, optimisers and batches of K runs.

    Every run keeps its own step, data, hyper-parameters and optimiser state. Model k's numbers do not depend
    on the other models: on a CPU they equal those of a stack of one, bit for bit.
    """

    def __init__(self, configs: Sequence[RunConfig], device: torch.device, threads: int = 1) -> None:
        """Build each config's model with its initial weights.

        Raises:
            UsageError: the configs do not have one shape, or the device lacks their precision.
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
        self.taken = self._take_pass()
        self.full = [
            self.taken.prepare(k, batches.rows) if batches.is_full else None for k, batches in enumerate(self.batches)
        ]

    def _take_pass(self) -> Pass:
        """The pass of the first run, for all runs: they share every setting that the choice depends on."""
        kind = pass_of(self.configs[0], self.device, self.weights.values.dtype).kind
        return kind(self.ensemble)

    @property
    def ensemble(self) -> Ensemble:
        """The models still in the stack, as the input of a pass."""
        return Ensemble(self.model, self.configs, self.tasks, self.weights, self.threads)

    def __len__(self) -> int:
        return len(self.configs)

    # ---- training --------------------------------------------------------------------------------

    def update(self) -> Float[Tensor, " K"]:
        """One optimiser step of every model. Returns the losses before the step, in nats, on the device."""
        batches, steps = [self._batch(k) for k in range(len(self))], list(self.optimizer.steps)
        if self.configs[0].optim.weight_noise == 0:
            return self.taken.backward(batches, steps, self.optimizer.update)
        values = self.weights.values
        clean = values.clone()
        add_weight_noise(values, self.configs, steps)

        def then(models: range, each: Map, more: Sequence[Array]) -> None:
            rows = slice(models.start, models.stop)
            values[rows] = clean[rows]  # gradients are taken at noisy weights, but the update applies to clean ones
            self.optimizer.update(models, each, more)

        return self.taken.backward(batches, steps, then)

    def _batch(self, k: int) -> Any:
        full = self.full[k]
        return self.taken.prepare(k, self.batches[k].at(self.optimizer.steps[k])) if full is None else full

    def evaluate(self, models: Sequence[int]) -> list[dict[str, float]]:
        """Loss (nats) and accuracy of some models over their training rows and over their test rows.

        A row counts as correct if all its answers are correct.
        """

        def one(i: int, each: Map) -> dict[str, float]:
            task = self.tasks[models[i]]
            rows = task.rows("all")
            loss, right = (values.cpu() for values in score(self.taken, models[i], rows, each))
            assert task.is_train is not None
            is_train = task.is_train[rows]
            return {
                "train_loss": _mean(loss, is_train),
                "test_loss": _mean(loss, ~is_train),
                "train_acc": _mean(right.double(), is_train),
                "test_acc": _mean(right.double(), ~is_train),
            }

        return self.threads.over(one, len(models))

    # ---- state -----------------------------------------------------------------------------------

    def model_state(self, k: int) -> dict[str, Tensor]:
        """Weights of model ``k`` by name, as views."""
        return self.weights.state(k)

    def full_state(self, k: int) -> dict[str, Tensor]:
        """Weights (``model.*``) and optimiser state (``exp_avg.*`` ...) of model ``k``, as views."""
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

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all runs except ``kept``."""
        self.weights.keep(kept)
        self.optimizer.keep(kept)
        self.configs = [self.configs[k] for k in kept]
        self.tasks = [self.tasks[k] for k in kept]
        self._set_up()


def _mean(values: Float[Tensor, " rows"], mask: Bool[Tensor, " rows"]) -> float:
    return float(values[mask].mean())
