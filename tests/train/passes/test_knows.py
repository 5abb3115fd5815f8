"""Every setting is obeyed by each pass that declares it and refused by the others, over all fields of the config."""

import dataclasses
from typing import cast

import pytest
import settings_table
import torch

pytestmark = pytest.mark.usefixtures("one_thread")


def parts_of(config, dtype=torch.float32):
    """The model with every bias moved from zero, the task, and a stack's weights that hold the model."""
    from train.model import build_model
    from train.passes.weights import StackedWeights
    from train.tasks.task import make_task

    model = build_model(config).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    return model, make_task(config), StackedWeights([model])


def taken(kind, config, dtype=torch.float32):
    """Loss of the training rows and its gradients by name, from a pass of this kind."""
    from train.passes.protocol import Ensemble
    from train.passes.threads import Threads

    model, task, weights = parts_of(config, dtype)
    one = kind(Ensemble(model, [config], [task], weights, Threads(1)))
    weights.grads.fill_(torch.nan)

    def add(models, each, more):
        for row in more:
            weights.grads[0] += torch.from_numpy(row)

    loss = one.backward([one.prepare(0, task.rows("train"))], [5], add)
    return float(loss[0]), {name: g.clone() for name, g in weights.split(weights.grads[0]).items()}


def tolerance(config):
    """Tolerance relative to the largest gradient: sums of some hundred products, in the least precise format used."""
    eps = torch.finfo(torch.float32).eps
    if config.optim.loss_precision == "float16":
        eps = torch.finfo(torch.float16).eps / 64
    return 2**-4 if config.optim.precision == "bfloat16" else 1e3 * eps


def assert_equal_to_plain(kind, config):
    from train.passes.plain import PlainPass

    (loss, grads), (expected, plain) = taken(kind, config), taken(PlainPass, config)
    limit = tolerance(config)
    assert loss == pytest.approx(expected, rel=limit)
    assert set(grads) == set(plain)
    largest = max(float(grad.abs().max()) for grad in plain.values())
    assert largest > 0
    for name, grad in plain.items():
        torch.testing.assert_close(grads[name], grad, rtol=0, atol=limit * largest, msg=f"{kind.NAME} {name}")


@pytest.mark.parametrize("name", settings_table.names())
def test_every_pass_obeys_a_setting_or_refuses_it(name):
    from train.errors import UndeclaredSetting
    from train.passes.choose import PASSES, choose
    from train.passes.plain import PlainPass
    from train.passes.protocol import unknown_to
    from train.passes.scope import NOT_OF_A_PASS

    usual = choose(settings_table.base(), torch.device("cpu")).kind
    for value in settings_table.values_of(name):
        config = settings_table.with_value(name, value)
        if name in NOT_OF_A_PASS:
            assert choose(config, torch.device("cpu")).kind is usual, "it must not decide the pass"
            continue
        known = [kind for kind in PASSES if unknown_to(kind.KNOWS, config) is None]
        assert PlainPass in known
        for kind in PASSES:
            if kind in known:
                assert_equal_to_plain(kind, config)
            else:
                with pytest.raises(UndeclaredSetting, match=f"the {kind.NAME} pass does not know {name} = "):
                    taken(kind, config)
        assert choose(config, torch.device("cpu")).kind is known[0]


def test_what_passes_know_are_settings_and_values_that_exist():
    """Declarations of passes name existing settings and allowed values alone, so that no old entry lingers."""
    from train.config.knows import ANY
    from train.passes.choose import PASSES

    names = set(settings_table.names())
    for kind in PASSES:
        assert set(kind.KNOWS) <= names
        for name, values in kind.KNOWS.items():
            if values is not ANY and name != "model.n_layers":
                default = [s.default for s in every_setting() if s.name == name]
                assert set(cast(set[object], values)) <= {*settings_table.values_of(name), *default}, (kind.NAME, name)


def every_setting():
    from train.config.knows import settings
    from train.config.run import RunConfig

    return list(settings(RunConfig()))


def test_every_setting_is_declared_by_a_part_and_no_part_declares_another():
    from train.engine.readers import READERS

    assert {name for names in READERS.values() for name in names} == set(settings_table.names())


def test_a_setting_that_nothing_declares_is_refused(monkeypatch):
    """A setting without a declared reader, such as one added to the config alone, is refused by name."""
    from train.engine import readers
    from train.errors import UndeclaredSetting

    config = settings_table.with_value("optim.dropout", 0.2)
    readers.pass_of(config, torch.device("cpu"))  # control
    monkeypatch.setitem(readers.READERS, "dropout", frozenset())
    for device in ("cpu", "cuda"):
        with pytest.raises(UndeclaredSetting, match="optim.dropout = 0.2 would change nothing"):
            readers.pass_of(config, torch.device(device))
    readers.pass_of(settings_table.base(), torch.device("cpu"))  # at its default it is as if it were not there


def test_presets_go_by_the_fastest_pass():
    from train.config.presets import PRESETS
    from train.passes.choose import choose

    layered = {"power", "power-fig1"}
    for name, preset in PRESETS.items():
        found = choose(preset.config, torch.device("cpu"))
        assert (found.name, found.is_slow) == ("layers" if name in layered else "tables", False)
        assert choose(preset.config, torch.device("cuda")).name == "vmapped"


@pytest.mark.parametrize("changes", [{}, {"n_layers": 2, "norm": "post"}, {"arch": "mlp", "layout": "a b"}], ids=str)
def test_the_plain_pass_is_the_model_under_autograd(changes):
    """The plain pass gives torch's own cross-entropy of the model, all rows at once, in float64."""
    from train.config.settings import override
    from train.passes.plain import PlainPass

    config = override(settings_table.base(), {**changes, "biases": "all"})
    loss, grads = taken(PlainPass, config, torch.float64)
    model, task, _ = parts_of(config, torch.float64)
    rows = task.rows("train")
    logits = model(task.tokens[rows])[:, task.answer_positions[0]]
    expected = torch.nn.functional.cross_entropy(logits, task.labels[rows, 0])
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-10, atol=1e-14)
    other = override(config, {"seed": 1})
    assert taken(PlainPass, other, torch.float64)[0] != pytest.approx(loss, rel=1e-3)  # control


def test_the_plain_pass_adds_up_pieces(monkeypatch):
    from train.passes import plain

    config = settings_table.with_value("optim.dropout", 0.2)
    whole = taken(plain.PlainPass, config, torch.float64)
    monkeypatch.setattr(plain, "PIECE", 16)
    cut = taken(plain.PlainPass, config, torch.float64)
    assert cut[0] == pytest.approx(whole[0], rel=1e-12)
    for name, grad in whole[1].items():
        torch.testing.assert_close(cut[1][name], grad, rtol=1e-9, atol=1e-13)


def test_a_plain_stack_is_its_single_runs(monkeypatch):
    """A plain stack gives each model the numbers of its single run, with threads and after one leaves."""
    from train.config.settings import override
    from train.engine.stack import Stack
    from train.passes.plain import PlainPass

    def plain(self):
        return PlainPass(self.ensemble)

    monkeypatch.setattr(Stack, "_take_pass", plain)
    configs = [override(settings_table.base(), {"seed": seed, "dropout": 0.1}) for seed in range(3)]
    together, alone = Stack(configs, torch.device("cpu"), 2), [Stack([c], torch.device("cpu")) for c in configs]
    for step in range(6):
        if step == 3:
            together.keep([0, 2])
            alone = [alone[0], alone[2]]
        losses = together.update()
        assert torch.equal(losses, torch.cat([stack.update() for stack in alone]))
    assert together.evaluate([1]) == alone[1].evaluate([0])


def test_knowing_a_default_is_not_knowing_a_value():
    from train.config.knows import unknown

    config = settings_table.with_value("model.norm", "pre")
    found = unknown({}, config, parts=("model",), but=("model.d_model", "model.n_heads", "model.d_mlp"))
    assert found is not None and str(found) == "model.norm = 'pre'"
    assert dataclasses.replace(found, value="none").is_neutral
