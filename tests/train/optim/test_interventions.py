"""Interventions against hand calculations; gradient filters and norms are in test_filters.py."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from test_filters import GRADS, VALUES, rows, step
from test_optim import weights_of

pytestmark = pytest.mark.usefixtures("quick_disk")


def optimized(start, grads, seeds=(0,), **changes):
    """Weights [K, n] after updates with the same gradients for every model, float64."""
    from train.config.optim import OptimConfig
    from train.optim.optimizer import Optimizer

    config = OptimConfig(**{"lr": 0.1, "weight_decay": 0.0, "warmup_steps": 0, **changes})
    weights = weights_of(torch.tensor([start] * len(seeds), dtype=torch.float64), a=(len(start),))
    optimizer = Optimizer([config] * len(seeds), weights, list(seeds))
    for g in grads:
        weights.grads.copy_(torch.tensor([g] * len(seeds), dtype=torch.float64))
        optimizer.update(range(len(seeds)), map)
    return weights.values


# ---- SGD, weight decay to the initial weights --------------------------------------------------------

START, STEPS = [1.0, -2.0, 0.5], ([0.3, 0.1, -0.2], [-0.5, 0.4, 0.0], [0.2, 0.2, 0.2])


def test_sgd_is_pytorchs_and_the_formula():
    found = optimized(START, STEPS, optimizer="sgd", momentum=0.6, weight_decay=0.5)[0]
    theirs = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    other = torch.optim.SGD([theirs], lr=0.1, momentum=0.6, weight_decay=0.5)
    by_hand, velocity = list(START), [0.0] * 3
    for grads in STEPS:
        theirs.grad = torch.tensor(grads, dtype=torch.float64)
        other.step()
        for i, g in enumerate(grads):
            velocity[i] = 0.6 * velocity[i] + g + 0.5 * by_hand[i]
            by_hand[i] -= 0.1 * velocity[i]
    torch.testing.assert_close(found, theirs.detach(), rtol=1e-12, atol=0)
    assert found.tolist() == pytest.approx(by_hand, rel=1e-12)
    plain = optimized(START, STEPS, optimizer="sgd", weight_decay=0.5)[0]
    assert (found - plain).abs().max() > 0.01  # control: no momentum


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_decay_to_initial_weights(optimizer):
    """Decoupled decay is w - lr wd (w - w0), coupled decay adds wd (w - w0) to g, by Adam without memory."""
    changes: dict[str, Any] = {"beta1": 0.0, "beta2": 0.0, "eps": 1e-15} if optimizer != "sgd" else {}
    given: dict[str, Any] = {"optimizer": optimizer, "weight_decay": 0.5, **changes}
    found = optimized(START, STEPS, decay_towards="init", **given)[0]
    w = list(START)
    for grads in STEPS:
        for i, g in enumerate(grads):
            pull = 0.5 * (w[i] - START[i])
            if optimizer == "adamw":
                w[i] += -0.1 * pull - 0.1 * math.copysign(g != 0, g)
            elif optimizer == "adam":
                w[i] -= 0.1 * math.copysign(g + pull != 0, g + pull)
            else:
                w[i] -= 0.1 * (g + pull)
    assert found.tolist() == pytest.approx(w, rel=1e-9)
    rest = optimized(START, [[0.0] * 3] * 5, decay_towards="init", **{**given, "optimizer": "adamw"})[0]
    assert rest.tolist() == pytest.approx(START)  # without a gradient they stay
    origin = optimized(START, STEPS, **given)[0]
    assert (found - origin).abs().max() > 0.01  # control


def test_decay_to_initial_weights_of_matrices_is_muons_too():
    from train.config.optim import OptimConfig
    from train.optim.optimizer import Optimizer

    config = OptimConfig(optimizer="muon", lr=0.1, weight_decay=0.5, warmup_steps=0, decay_towards="init")
    start = torch.randn(1, 12, generator=torch.Generator().manual_seed(0))
    weights = weights_of(start.clone(), W_in=(3, 4))
    optimizer = Optimizer([config], weights, [0])
    weights.values += 1.0
    weights.grads.zero_()
    optimizer.update(range(1), map)
    torch.testing.assert_close(weights.values, start + 0.95, rtol=0, atol=1e-6)  # the distance shrinks by lr * wd


# ---- noise -------------------------------------------------------------------------------------------


def test_update_noise():
    """The update is W + lr (step + sigma N(0, 1)), with noise of the run's own stream, and none while lr is 0."""
    from train.streams import normal

    zeros = [0.0] * 50_000
    found = optimized(zeros, [zeros, zeros], seeds=(3, 4), update_noise=2.0)
    like = torch.empty(len(zeros), dtype=torch.float64)
    by_hand = 0.1 * 2.0 * (normal(3, "update_noise/0", like) + normal(3, "update_noise/1", like))
    torch.testing.assert_close(found[0], by_hand, rtol=1e-12, atol=1e-15)
    assert float(found[0].std()) == pytest.approx(0.2 * math.sqrt(2), rel=0.02) and abs(float(found[0].mean())) < 0.006
    assert abs(float((found[0] * found[1]).mean())) < 0.002  # the other seed's is another
    assert optimized(zeros[:9], [zeros[:9]], update_noise=2.0, warmup_steps=10)[0].tolist() == zeros[:9]
    moved = optimized([0.0], [[1.0]], update_noise=0.0, optimizer="sgd")[0]
    assert moved.tolist() == [-0.1]  # control


@pytest.fixture
def trained(tiny_config):
    """``trained(**changes)``: a stack of one run, its plain model at equal weights, and the config."""
    from train.config.settings import override
    from train.engine.stack import Stack
    from train.model import build_model

    def make(**changes):
        given = {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.0, "warmup_steps": 0, "biases": "all", **changes}
        config = override(tiny_config, given)
        return Stack([config], torch.device("cpu")), build_model(config), config

    return make


def plain_gradients(model, task):
    from train.passes.loss import cross_entropy

    train = task.rows("train")
    loss = cross_entropy(model(task.tokens[train])[:, list(task.answer_positions)], task.labels[train]).mean()
    names, leaves = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
    return float(loss.detach()), dict(zip(names, torch.autograd.grad(loss, leaves), strict=True))


def test_weight_noise(trained):
    """The gradient is the plain model's at weights + sigma N(0, 1); the weights keep no noise."""
    from train.streams import normal

    stack, model, config = trained(weight_noise=0.05)
    before = stack.weights.values.clone()
    noisy = before[0] + 0.05 * normal(config.seed, "weight_noise/0", before[0])
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in stack.weights.split(noisy).items():
            named[name].copy_(value)
    loss, grads = plain_gradients(model, stack.tasks[0])
    assert float(stack.update()[0]) == pytest.approx(loss, rel=1e-5)
    step = torch.cat([grads[name].flatten() for name in stack.weights.trained])
    torch.testing.assert_close(stack.weights.values[0], before[0] - 0.5 * step, rtol=0, atol=1e-5)
    clean, _, _ = trained()
    clean.update()
    assert (clean.weights.values - stack.weights.values).abs().max() > 1e-3  # control
    first, second = (stack.evaluate([0])[0]["train_loss"] for _ in range(2))
    assert first == second != loss  # evaluations have no noise


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("way", ["one by one", "vmapped", "plain"])
def test_dropout_is_the_plain_model_with_masks(trained, n_layers, way, monkeypatch):
    """Loss and gradients equal those of the plain model whose hooks multiply sublayers' outputs by the masks."""
    from train.passes import functional, plain, vmapped
    from train.passes.dropout import masks

    kinds: dict[str, Any] = {
        "one by one": functional.FunctionalPass,
        "vmapped": vmapped.VmappedPass,
        "plain": plain.PlainPass,
    }
    for module in (functional, plain):
        monkeypatch.setattr(module, "PIECE", 16)
    stack, model, config = trained(dropout=0.3, n_layers=n_layers)
    stack.taken = kinds[way](stack.ensemble)
    stack.full = [stack.taken.prepare(0, stack.batches[0].rows)]
    task = stack.tasks[0]
    found = masks(config.seed, 0, 0.3, len(task.rows("train")), model.cfg, 1, "cpu")
    assert len(found) == 2 * n_layers

    def multiply(x, hook):
        mask = found[hook.name]
        whole = torch.ones_like(x)
        whole[:, -mask.shape[1] :] = mask  # the answer is read at the last position
        return x * whole

    with model.hooks([(name, multiply) for name in found]):
        loss, grads = plain_gradients(model, task)
    assert float(stack.update()[0]) == pytest.approx(loss, rel=1e-5)
    for name, grad in stack.weights.split(stack.weights.grads[0]).items():
        torch.testing.assert_close(grad, grads[name], rtol=0, atol=1e-5)
    clean, _ = plain_gradients(model, task)
    assert abs(clean - loss) > 1e-3  # control
    assert stack.evaluate([0])[0]["train_loss"] != pytest.approx(loss, rel=1e-6)


def test_masks_keep_the_mean_and_are_the_updates_own():
    import types

    from train.passes.dropout import masks

    cfg = types.SimpleNamespace(n_ctx=3, n_layers=2, d_model=64, attn_only=False)
    first, again, next_one = (masks(1, step, 0.25, 200, cfg, 1, "cpu") for step in (0, 0, 1))
    for name, mask in first.items():
        assert torch.equal(mask, again[name]) and not torch.equal(mask, next_one[name])
        assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
        assert float(mask.mean()) == pytest.approx(1.0, abs=0.02)
    positions = {"blocks.0": 3, "blocks.1": 1}  # the last layer is computed at the answer alone
    expected = {f"{block}.hook_{part}_out": n for block, n in positions.items() for part in ("attn", "mlp")}
    assert {name: mask.shape[1] for name, mask in first.items()} == expected


# ---- Grokfast-MA -------------------------------------------------------------------------------------


def test_grokfast_ma():
    """From the second gradient on, lambda times the mean of the last two is added; the first is unchanged."""
    second, third = [[1.0, -1.0, 0.0], [0.0, 0.0, 4.0]], [[2.0, 2.0, 2.0], [-1.0, 0.0, 1.0]]
    changes = {"grokfast_window": 2, "grokfast_lambda": 3.0}
    history = [GRADS, second, third]
    for n in (1, 2, 3):
        weights, _ = step(changes, grads=history[:n])
        last = rows(history[n - 1])
        mean = (last + rows(history[n - 2])) / 2
        torch.testing.assert_close(weights.grads, last if n == 1 else last + 3 * mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", [{"grokfast_alpha": 0.75}, {"grokfast_window": 1}])
def test_grokfast_begins_when_it_is_told(kind):
    """Nothing is added before the given update; there the average is the gradient, for a factor of lambda + 1."""
    for n, factor in ((1, 1.0), (2, 1.0), (3, 3.0)):
        weights, _ = step({**kind, "grokfast_from": 2}, grads=[VALUES] * (n - 1) + [GRADS])
        torch.testing.assert_close(weights.grads, factor * rows(GRADS), rtol=1e-12, atol=0)


# ---- losses ------------------------------------------------------------------------------------------


def test_stablemax():
    """Stablemax divides s(x) by its sum, with s(1) = 2, s(0) = 1, s(-1) = 1/2, and has the gradients of its logs."""
    from train.passes.loss import stablemax

    logits = torch.tensor([[[1.0, 0.0, -1.0]]] * 3, dtype=torch.float64, requires_grad=True)
    loss = stablemax(logits, torch.tensor([[0], [1], [2]]))
    assert loss.tolist() == pytest.approx([math.log(3.5 / 2), math.log(3.5), math.log(3.5 / 0.5)])
    (grad,) = torch.autograd.grad(loss[0], logits)
    slopes = [1.0, 1.0, 0.25]  # of s
    assert grad[0, 0].tolist() == pytest.approx([1 / 3.5 - 1 / 2, slopes[1] / 3.5, slopes[2] / 3.5])
    wide = stablemax(torch.tensor([[[1e4, -1e4]]]), torch.tensor([[0]]))
    assert float(wide[0]) == pytest.approx(1e-8, rel=1e-3)  # the softmax's is 0 there


def test_precision_of_the_loss():
    """A margin m costs log(1 + e^-m): at 12 it rounds to 0 in float16, at 20 in float32 too, never in float64."""
    from train.config.optim import OptimConfig
    from train.passes.loss import training_loss

    def loss(margin, precision):
        logits = torch.tensor([[[margin, 0.0]]], requires_grad=True)
        found = training_loss(OptimConfig(loss_precision=precision))(logits, torch.tensor([[0]]))
        return float(found.detach()[0]), float(torch.autograd.grad(found.sum(), logits)[0][0, 0, 1])

    for margin, exact in ((12.0, ["float64", "float32"]), (20.0, ["float64"])):
        for precision in ("float64", "float32", "float16"):
            value = loss(margin, precision)[0]
            if precision in exact:
                assert value == pytest.approx(
                    math.log1p(math.exp(-margin)), rel=1e-9 if precision == "float64" else 0.03
                )
            else:
                assert value == 0.0
    assert loss(12.0, "float64")[1] == pytest.approx(1 / (1 + math.exp(12)), rel=1e-6)


@pytest.mark.parametrize("changes", [{"loss": "stablemax"}, {"loss_precision": "float16"}], ids=str)
def test_a_run_is_trained_and_evaluated_by_its_loss(trained, changes):
    stack, model, config = trained(**changes)
    from train.passes.loss import training_loss

    task = stack.tasks[0]
    train = task.rows("train")
    with torch.no_grad():
        expected = training_loss(config.optim)(model(task.tokens[train])[:, -1:], task.labels[train]).mean()
    assert stack.evaluate([0])[0]["train_loss"] == pytest.approx(float(expected), rel=1e-4)
    assert float(stack.update()[0]) == pytest.approx(float(expected), rel=1e-4)
    _, other, _ = trained()
    assert abs(plain_gradients(other, task)[0] - float(expected)) > 1e-5  # control


# ---- the model and the task --------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["nanda", "pytorch", "transformerlens"])
def test_init_scale(init):
    from train.config.model import ModelConfig
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.model import build_model

    def weights(scale):
        model = ModelConfig(d_model=16, n_heads=2, norm="pre", biases="all", init=init, init_scale=scale)
        return build_model(RunConfig(task=TaskConfig(p=7), model=model)).state_dict()

    one, three = weights(1.0), weights(3.0)
    for name, value in one.items():
        is_norm = ".ln" in name or name.startswith("ln")
        assert torch.equal(three[name], value if is_norm or "mask" in name else 3 * value), name
    assert any(".W_" in name for name in one)


def test_output_scale(trained):
    """Scaled logits are 4 times those of equal weights, in the model, its hook and the engine."""
    from train.passes.functional import FunctionalPass

    stack, model, _ = trained(output_scale=4.0)
    _, plain, _ = trained()
    plain.load_state_dict(model.state_dict())
    tokens = stack.tasks[0].tokens
    torch.testing.assert_close(model(tokens), 4 * plain(tokens))
    assert isinstance(stack.taken, FunctionalPass)
    read = stack.taken.reader(0, map)(torch.arange(5))
    torch.testing.assert_close(read[:, 0], 4 * plain(tokens[:5])[:, -1], rtol=1e-4, atol=1e-5)


def test_activations():
    from train.model.components import ACTIVATIONS

    by_hand = {
        "relu": lambda x: max(x, 0.0),
        "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
        "gelu_new": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
        "silu": lambda x: x / (1 + math.exp(-x)),
        "tanh": math.tanh,
        "square": lambda x: x * x,
    }
    assert set(by_hand) == set(ACTIVATIONS)
    for name, function in by_hand.items():
        x = torch.tensor([-1.5, 0.0, 0.7], dtype=torch.float64)
        assert ACTIVATIONS[name](x).tolist() == pytest.approx([function(v) for v in x.tolist()])


def test_outliers():
    """Outliers take the answers of other training rows, change k training rows alone, and leave the table correct."""
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    clean, found = (make_task(RunConfig(task=TaskConfig(p=23, train_frac=0.5, outliers=k))) for k in (0, 60))
    changed = (clean.labels != found.labels).flatten().nonzero().flatten()
    assert 50 <= len(changed) <= 60  # some donors have the same answer: 1 in 23
    assert clean.is_train is not None and bool(clean.is_train[changed].all())
    assert found.is_train is not None and torch.equal(clean.is_train, found.is_train)
    assert clean.table is not None and found.table is not None
    assert torch.equal(clean.table.values, found.table.values)
    again = make_task(RunConfig(task=TaskConfig(p=23, train_frac=0.5, outliers=60)))
    assert torch.equal(again.labels, found.labels)
    other = make_task(RunConfig(task=TaskConfig(p=23, train_frac=0.5, outliers=60), seed=1))
    assert not torch.equal(other.labels, found.labels)


# ---- the list ----------------------------------------------------------------------------------------


def test_every_intervention_names_fields_and_a_test():
    from train.config.interventions import INTERVENTIONS
    from train.config.model import ModelConfig
    from train.config.optim import OptimConfig
    from train.config.task import TaskConfig

    fields = {f.name for config in (TaskConfig, ModelConfig, OptimConfig) for f in dataclasses.fields(config)}
    sources = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    tests = set(re.findall(r"^def (test_\w+)", sources, re.M))
    for one in INTERVENTIONS:
        assert {flag.split()[0] for flag in one.flags} <= fields, one.doc
        assert one.test in tests, one.doc
    listed = {flag.split()[0] for one in INTERVENTIONS for flag in one.flags}
    unlisted = {f.name for f in dataclasses.fields(OptimConfig)} - listed
    assert unlisted == {"lr"}


def test_they_are_listed_with_their_sources(capsys):
    from train.config.interventions import INTERVENTIONS
    from train.run import main

    assert main(["--list-interventions"]) == 0
    out = capsys.readouterr().out
    for one in INTERVENTIONS:
        assert one.doc in out and one.source in out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grokfast_window": 20, "steps": 10}, "grokfast_window = 20 is longer than the run's 10 steps"),
        ({"grokfast_window": 2, "grokfast_alpha": 0.9}, "exclude each other"),
        ({"grokfast_from": 5}, "grokfast_from = 5 does nothing here: it needs grokfast_alpha or grokfast_window"),
        ({"momentum": 0.9}, "momentum = 0.9 does nothing here: it needs optimizer sgd"),
        ({"decay_towards": "init", "weight_decay": 0.0}, "it needs weight_decay above 0"),
        ({"batch_size": 10_000}, "batch_size = 10000 is more than the"),
        ({"batch_size": "half"}, "batch_size = 'half'"),
        ({"outliers": 10_000}, "outliers = 10000 is more than the"),
        ({"dropout": 1.0}, "dropout = 1.0 is out of range"),
        ({"dropout": 0.1, "arch": "mlp", "layout": "a b"}, "an mlp has none"),
        ({"update_noise": -1.0}, "update_noise = -1.0"),
        ({"init_scale": 0.0}, "init_scale = 0.0"),
        ({"loss": "hinge"}, "loss = 'hinge'"),
        ({"act_fn": "cube"}, "act_fn = 'cube'"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(tiny_config, changes, says):
    from train.config.settings import override

    with pytest.raises(ValueError, match=re.escape(says)):
        override(tiny_config, changes)
