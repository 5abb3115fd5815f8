"""The optimiser's steps against formulas written out, its learning rate, and the batches."""

import math
from typing import Any

import pytest
import torch

W0 = [1.0, -2.0, 0.5, 3.0]
GRADS = [[0.3, -0.1, 0.0, 2.0], [-0.2, -0.1, 1e-9, 1.0], [0.25, 0.4, -1.0, -3.0]]


def adam_by_hand(config, decoupled: bool) -> list[float]:
    """Adam of Loshchilov and Hutter 2019 (1711.05101), algorithm 2, one number at a time."""
    w, m, v = list(W0), [0.0] * 4, [0.0] * 4
    for t, grads in enumerate(GRADS, start=1):
        for i, grad in enumerate(grads):
            g = grad if decoupled else grad + config.weight_decay * w[i]
            m[i] = config.beta1 * m[i] + (1 - config.beta1) * g
            v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g
            m_hat, v_hat = m[i] / (1 - config.beta1**t), v[i] / (1 - config.beta2**t)
            decay = config.lr * config.weight_decay * w[i] if decoupled else 0.0
            w[i] = w[i] - decay - config.lr * m_hat / (math.sqrt(v_hat) + config.eps)
    return w


def weights_of(rows, **shapes) -> Any:
    """A stack's weights with these rows of values, as tensors of these shapes (one vector if none is given)."""
    from torch import nn

    from train.passes.weights import StackedWeights

    models = []
    for row in rows:
        parts = row.split([math.prod(shape) for shape in shapes.values()] if shapes else len(row))
        named = {n: nn.Parameter(x.view(shapes.get(n, x.shape))) for n, x in zip(shapes or ["w"], parts, strict=True)}
        models.append(nn.ParameterDict(list(named.items())))  # of a dict it would sort the names
    return StackedWeights(models)


def optimize(config, dtype) -> torch.Tensor:
    """Three steps of the second of two models, in ``dtype``."""
    from train.optim.optimizer import Optimizer

    weights = weights_of(torch.tensor([[9.0] * 4, W0], dtype=dtype))
    optimizer = Optimizer([config, config], weights, [0, 1])
    for grads in GRADS:
        weights.grads[1] = torch.tensor(grads, dtype=dtype)
        optimizer.update(range(1, 2), map)
    assert weights.values[0].tolist() == [9.0] * 4
    return weights.values[1]


@pytest.mark.parametrize(("name", "decoupled"), [("adamw", True), ("adam", False)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_updates_are_the_formulas(name, decoupled, dtype):
    """Updates follow the formulas, in PyTorch (float64) and in the compiled loop (float32)."""
    from train.config.optim import OptimConfig

    config = OptimConfig(optimizer=name, lr=0.05, weight_decay=0.7, beta1=0.8, beta2=0.9, eps=1e-3, warmup_steps=0)
    values = optimize(config, dtype)
    expected = torch.tensor(adam_by_hand(config, decoupled), dtype=dtype)
    rtol = 100 * torch.finfo(dtype).eps  # three steps of about ten operations
    torch.testing.assert_close(values, expected, rtol=rtol, atol=rtol)
    other = torch.tensor(adam_by_hand(config, not decoupled), dtype=dtype)
    assert (values - other).abs().max() > 1e-2  # control: the other kind of decay


def test_chunks_change_nothing(monkeypatch):
    """The update does not depend on its chunk size, with further gradient rows added chunk by chunk."""
    from train.config.optim import OptimConfig
    from train.optim import optimizer as optim

    found = []
    for chunk in (16, 10**9):
        monkeypatch.setattr(optim, "CHUNK", chunk)
        generator = torch.Generator().manual_seed(0)
        weights = weights_of(torch.randn(1, 100, generator=generator))
        optimizer = optim.Optimizer([OptimConfig(warmup_steps=0)], weights, [0])
        for _ in range(3):
            weights.grads.copy_(torch.randn(1, 100, generator=generator))
            left = torch.randn(100, generator=generator)
            optimizer.update(range(1), map, [left.numpy()])
        found.append(weights.values)
    assert torch.equal(*found)


def test_tensors_that_are_not_trained_are_left_out():
    from train.config.model import ModelConfig
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.model import build_model
    from train.passes.weights import StackedWeights

    choices: Any = (("none", {"b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"}), ("all", set()))
    for biases, frozen in choices:
        model = build_model(RunConfig(task=TaskConfig(p=7), model=ModelConfig(d_model=8, biases=biases)))
        weights = StackedWeights([model])
        left_out = {n.rpartition(".")[2] for n in weights.names if n not in weights.trained}
        assert left_out == frozen
        trained = sum(p.numel() for n, p in model.named_parameters() if n.rpartition(".")[2] not in frozen)
        assert weights.values[0].numel() == trained


def test_weight_decay_reaches_every_trained_tensor():
    """One step without a gradient shrinks biases, embeddings and matrices alike."""
    from train.config.model import ModelConfig
    from train.config.optim import OptimConfig
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.model import build_model
    from train.optim.optimizer import Optimizer
    from train.passes.weights import StackedWeights

    model = build_model(RunConfig(task=TaskConfig(p=7), model=ModelConfig(d_model=8, biases="all", norm="pre")))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    weights = StackedWeights([model, model])
    configs = [OptimConfig(lr=0.1, weight_decay=0.5, warmup_steps=0), OptimConfig(lr=0.0)]
    Optimizer(configs, weights, [0, 1]).update(range(2), map)
    for name, value in weights.state(0).items():
        assert torch.allclose(value, torch.tensor(1.9)), name  # 2 * (1 - 0.1 * 0.5)
    for name, value in weights.state(1).items():
        assert torch.equal(value, torch.full_like(value, 2.0)), name  # its own settings


def test_warm_up():
    from train.config.optim import OptimConfig
    from train.optim.optimizer import lr_at

    config = OptimConfig(lr=0.02, warmup_steps=4)
    assert [lr_at(step, config) for step in range(7)] == [0.0, 0.005, 0.01, 0.015, 0.02, 0.02, 0.02]
    assert lr_at(0, OptimConfig(lr=0.02, warmup_steps=0)) == 0.02
    assert lr_at(10**9, OptimConfig(lr=0.02)) == 0.02


def test_decay():
    """The learning rate falls on a cosine to its final value and stays there; without decay it is constant."""
    from train.config.optim import OptimConfig
    from train.optim.optimizer import lr_at

    config = OptimConfig(lr=0.02, warmup_steps=10, decay_steps=110, decay_to=0.2)
    assert lr_at(5, config) == 0.01
    assert lr_at(10, config) == pytest.approx(0.02)
    assert lr_at(60, config) == pytest.approx(0.02 * 0.6)  # (1 + 0.2) / 2
    assert lr_at(35, config) == pytest.approx(0.02 * (0.6 + 0.4 * math.cos(math.pi / 4)))
    assert lr_at(110, config) == lr_at(10**6, config) == pytest.approx(0.004)
    rates = [lr_at(step, config) for step in range(10, 111)]
    assert rates == sorted(rates, reverse=True)
    assert lr_at(60, OptimConfig(lr=0.02)) == 0.02  # control


# ---- batches -----------------------------------------------------------------------------------------


def batches(batch_size: Any, seed=0):
    from train.config.optim import OptimConfig
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.batches import Batches
    from train.tasks.task import make_task

    config = RunConfig(task=TaskConfig(p=7, train_frac=0.5), optim=OptimConfig(batch_size=batch_size), seed=seed)
    task = make_task(config)
    return Batches(task, config), task.rows("train").tolist()


@pytest.mark.parametrize(
    ("size", "pieces"), [(7, [7, 7, 7, 3]), (8, [8] * 3), (1, [1] * 24), (23, [23, 1]), ("power", [12, 12])]
)
def test_every_epoch_covers_every_training_row_once(size, pieces):
    found, train = batches(size)
    assert len(train) == 24
    n = len(pieces)
    epochs = [[found.at(step).tolist() for step in range(e * n, e * n + n)] for e in range(3)]
    for epoch in epochs:
        assert [len(piece) for piece in epoch] == pieces
        assert sorted(sum(epoch, [])) == train
    assert epochs[0] != epochs[1] != epochs[2]  # control: the epochs are shuffled, each in its own order
    assert sum(epochs[0], []) != train


def test_batches_are_a_function_of_the_step_alone():
    forwards, _ = batches(7)
    rising = [forwards.at(step).tolist() for step in range(20)]
    for step in (19, 3, 3, 11, 0, 7):
        assert forwards.at(step).tolist() == rising[step]
        assert batches(7)[0].at(step).tolist() == rising[step]
    assert batches(7, seed=1)[0].at(0).tolist() != rising[0]  # control


@pytest.mark.parametrize("size", [None, 24])
def test_full_batch(size):
    found, train = batches(size)
    assert found.at(0).tolist() == found.at(9).tolist() == train
