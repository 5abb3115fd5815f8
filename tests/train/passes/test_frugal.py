"""The frugal forward equals the plain model in logits and in every gradient, for every option."""

import itertools
from typing import Any

import pytest
import torch


def make(task=None, model=None, dtype=torch.float64):
    from train.config.model import ModelConfig
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.model import build_model
    from train.tasks.task import make_task

    config = RunConfig(
        task=TaskConfig(**{"p": 7, "train_frac": 0.6, **(task or {})}),
        model=ModelConfig(**{"d_model": 16, "n_heads": 2, "d_mlp": 24, **(model or {})}),
        seed=3,
    )
    built = build_model(config).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # biases start at zero: move them, so that a forgotten one would show
        for parameter in built.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    return built, make_task(config), config


def passes(built, task, config):
    """The passes for this model and its precision, by name, and a stack's weights that hold the model."""
    from train.passes.choose import PASSES
    from train.passes.protocol import Ensemble, unknown_to
    from train.passes.threads import Threads
    from train.passes.weights import StackedWeights

    weights = StackedWeights([built])
    found: dict[str, Any] = {}
    for kind in PASSES:
        runs = kind.runs_on(torch.device("cpu"), built.cfg.dtype) or kind.NAME == "vmapped"
        if runs and unknown_to(kind.KNOWS, config) is None and (kind.NAME != "tables" or has_last_answer(task)):
            found[kind.NAME] = kind(Ensemble(built, [config], [task], weights, Threads(2)))
    return weights, found


def has_last_answer(task):
    return task.answer_positions == (task.tokens.shape[1] - 1,)


def compare(built, task, config, rows, names=()):
    """Assert that each pass has the plain model's loss, scores and gradients, in the model's own precision."""
    from train.passes.loss import cross_entropy
    from train.passes.protocol import score

    logits = built(task.tokens[rows])[:, list(task.answer_positions)]
    losses = cross_entropy(logits, task.labels[rows])
    losses.mean().backward()
    plain = {name: p.grad for name, p in built.named_parameters() if p.requires_grad}
    weights, found = passes(built, task, config)
    assert set(found) == {"plain", "functional", "vmapped", *names}
    eps = torch.finfo(built.cfg.dtype).eps
    tolerance = 1e3 * eps  # relative to the largest loss, the largest gradient: sums of some hundred products
    for name, one in found.items():
        weights.grads.fill_(float("nan"))
        loss = one.backward([one.prepare(0, rows)], [0], collect(weights))
        assert float(loss[0]) == pytest.approx(float(losses.detach().mean()), rel=tolerance), name
        scores, right = score(one, 0, rows, map)
        torch.testing.assert_close(scores, losses.detach(), rtol=0, atol=tolerance * float(losses.detach().max()))
        assert torch.equal(right, (logits.argmax(-1) == task.labels[rows]).all(dim=1))
        grads = weights.split(weights.grads[0])
        assert set(grads) == set(plain)
        atol = tolerance * max(float(grad.abs().max()) for grad in plain.values())
        for key, grad in plain.items():
            torch.testing.assert_close(grads[key], grad, rtol=0, atol=atol, msg=f"{name} {key}")


def collect(weights):
    """A callback that adds the remaining gradient rows, as an optimiser first does."""

    def then(models, each, more):
        for row in more:
            weights.grads[models.start] += torch.from_numpy(row)

    return then


OPTIONS = [
    {"n_layers": n, "norm": norm, "attention": attention}
    for n, norm, attention in itertools.product((1, 2, 3), ("none", "pre", "post"), ("causal", "bidirectional"))
] + [
    {"positions": "sinusoidal", "n_layers": 2},
    {"attn_rate": 0.3},
    {"attn_rate": 0.0, "attention": "bidirectional"},
    {"attn_rate": 0.5, "n_layers": 2},
    {"biases": "none"},
    {"biases": "all", "n_layers": 2, "norm": "pre"},
    {"act_fn": "gelu"},
    {"act_fn": "square", "n_layers": 2},
    {"act_fn": "silu", "output_scale": 3.0},
    {"outputs": "answers"},
    {"d_head": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_to_plain(options):
    built, task, config = make(model=options)
    compare(built, task, config, task.rows("train"))


@pytest.mark.parametrize("options", [o for o in OPTIONS if "act_fn" not in o], ids=str)
def test_layers_are_equal_to_plain(options, monkeypatch):
    """The layer pass equals the plain model in float32, its only precision, over several pieces of rows."""
    from train.passes import functional, plain
    from train.passes.layers import layer_pass as layers

    for module in (functional, layers, plain):
        monkeypatch.setattr(module, "PIECE", 16)
    built, task, config = make(model=options, dtype=torch.float32)
    names = ("layers", "tables") if tables_know(options) else ("layers",)
    compare(built, task, config, task.rows("train"), names=names)


def tables_know(options):
    return options.get("n_layers", 1) == 1 and options.get("norm", "none") == "none"


LAYOUTS = ["a b", "a b =", "a op b =", "eos a op b ="]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", ["div", "sub"])
def test_equal_for_every_layout(layout, op):
    built, task, config = make(task={"op": op, "layout": layout}, model={"n_layers": 2})
    compare(built, task, config, task.rows("all"))
    built, task, config = make(task={"op": op, "layout": layout}, model={"n_layers": 2}, dtype=torch.float32)
    compare(built, task, config, task.rows("all"), names=("layers",))


@pytest.mark.parametrize("n_layers", [1, 2])
def test_equal_for_two_vocabularies(n_layers):
    fields = ({"layout": "a op b =", "shared_vocabulary": False}, {"n_layers": n_layers})
    built, task, config = make(*fields)
    assert built.cfg.d_vocab == 2 * 7 + 2
    compare(built, task, config, task.rows("all"))
    built, task, config = make(*fields, dtype=torch.float32)
    compare(built, task, config, task.rows("all"), names=("layers", "tables")[: 3 - n_layers])


def test_activations_are_told_by_their_hooks_names():
    """Activations carry their hooks' names: the last layer's at the answer alone, earlier ones everywhere."""
    from train.passes.entries import make_plan
    from train.passes.frugal import answer_logits, mlp_logits

    for model in ({"n_layers": 2}, {"arch": "mlp", "n_layers": 2}):
        is_mlp = "arch" in model
        built, task, _ = make(task={"layout": "a b" if is_mlp else "a b ="}, model=model)
        _, cache = built.run_with_cache(task.tokens)
        kept, weights = {}, dict(built.named_parameters())
        if is_mlp:
            mlp_logits(weights, built.cfg, task.tokens, keep=kept.__setitem__)
        else:
            plan = make_plan(task.tokens, task.answer_positions, 2)
            answer_logits(weights, built.cfg, plan, keep=kept.__setitem__)
        assert list(kept) == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
        for name, found in kept.items():
            expected = cache[name]
            if name.startswith("blocks.1") and not is_mlp:
                expected = expected[:, list(task.answer_positions)]
            torch.testing.assert_close(found.view_as(expected), expected)


def test_nodes_are_the_distinct_prefixes():
    from train.passes.entries import make_plan
    from train.passes.layers.nodes import NodeMaker

    _, task, _ = make(task={"layout": "a op b ="})
    rows = task.rows("train")
    plan = make_plan(task.tokens, task.answer_positions, 2)
    nodes = NodeMaker(plan, True, 2)(task.labels, rows)
    prefixes = {tuple(row[: j + 1].tolist()) for row in task.tokens[rows] for j in range(4)}
    first, last = nodes.queries
    assert len(first.asks) == len(prefixes) < 4 * len(rows)
    assert len(NodeMaker(plan, False, 2)(task.labels, rows).queries[0].asks) == 4 * len(rows)
    for row, keys in zip(task.tokens[rows], last.keys, strict=True):  # its answer's keys spell the row
        entries = nodes.pairs[first.asks[keys]]
        assert plan.table_tokens[entries.astype(int)].tolist() == row.tolist()


def test_several_answer_positions():
    import dataclasses

    built, task, config = make(model={"n_layers": 2})
    for n_layers, positions in ((2, (1, 2)), (1, (0, 2))):
        for dtype, names in ((torch.float64, ()), (torch.float32, ("layers",))):
            built, task, config = make(model={"n_layers": n_layers}, dtype=dtype)
            shape = dataclasses.replace(task.shape, answer_positions=positions)
            labels = torch.cat([task.labels, task.labels.roll(1, dims=0)], dim=1)
            two = dataclasses.replace(task, shape=shape, labels=labels)
            compare(built, two, config, two.rows("train"), names)


@pytest.mark.parametrize("options", [{}, {"n_layers": 3}, {"act_fn": "gelu", "biases": "all"}], ids=str)
def test_mlp(options):
    built, task, config = make(task={"layout": "a b"}, model={"arch": "mlp", **options})
    compare(built, task, config, task.rows("train"))


TABLED = [
    {},
    {"attention": "bidirectional"},
    {"attn_rate": 0.3},
    {"attn_rate": 0.0},
    {"biases": "none"},
    {"biases": "all"},
    {"outputs": "answers"},
    {"d_head": 5, "n_heads": 3},
    {"d_mlp": 300, "n_heads": 1},
    {"positions": "sinusoidal"},
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", TABLED, ids=str)
def test_tables_are_equal_to_plain(options, layout):
    """The table pass equals the plain model in float32, its only precision, with every bias moved from zero."""
    built, task, config = make(task={"layout": layout, "p": 13}, model=options, dtype=torch.float32)
    compare(built, task, config, task.rows("train"), names=("layers", "tables"))


def test_tables_in_several_shards(monkeypatch):
    from train.passes.tables import rows

    monkeypatch.setattr(rows, "ROWS_PER_SHARD", 40)
    built, task, config = make(task={"p": 13}, dtype=torch.float32)
    assert len(task.rows("train")) > 80
    compare(built, task, config, task.rows("train"), names=("layers", "tables"))


def test_control_a_changed_weight_is_seen():
    """The comparison fails when the two sides use different weights."""
    from train.passes.protocol import score

    for dtype in (torch.float64, torch.float32):
        built, task, config = make(dtype=dtype)
        weights, found = passes(built, task, config)
        rows = task.rows("all")
        for taken in found.values():
            before = score(taken, 0, rows, map)[0]
            with torch.no_grad():
                weights.own[0]["blocks.0.attn.W_V"][0, 0, 0] += 1e-2
            assert not torch.allclose(score(taken, 0, rows, map)[0], before)


def test_tables_refuse_an_answer_that_does_not_see_the_whole_row():
    import dataclasses

    from train.passes.protocol import Ensemble
    from train.passes.tables.table_pass import TablePass
    from train.passes.threads import Threads
    from train.passes.weights import StackedWeights

    built, task, config = make(dtype=torch.float32)
    early = dataclasses.replace(task, shape=dataclasses.replace(task.shape, answer_positions=(1,)))
    for some, weights in ((task, StackedWeights([built])), (early, StackedWeights([built]))):
        if some is task:
            TablePass(Ensemble(built, [config], [some], weights, Threads(1)))  # control
            continue
        with pytest.raises(AssertionError):
            TablePass(Ensemble(built, [config], [some], weights, Threads(1)))
