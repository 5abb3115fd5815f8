"""Runs side by side: each is, byte for byte, the run it would be alone."""

import itertools

import pytest
import settings_table
import torch

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")

CASES = {
    "tables": {},
    "two layers": {"n_layers": 2, "norm": "post", "positions": "sinusoidal"},
    "mlp": {"arch": "mlp", "layout": "a b"},
    "filters": {"orthogonal_gradient": True, "grokfast_alpha": 0.9, "norm_clamp": 1.2},
    "muon": {"optimizer": "muon"},
    "minibatch": {"batch_size": 20},
    "noise": {"weight_noise": 0.01, "update_noise": 0.1, "decay_towards": "init", "optimizer": "sgd", "momentum": 0.5},
    "dropout": {"dropout": 0.2, "loss": "stablemax", "grokfast_window": 5, "batch_size": "power"},
    "minibatch of two layers": {"batch_size": 20, "n_layers": 2},
}


def variants(tiny_config, changes):
    """Runs of one shape that differ in everything that may differ.

    19 to 45 steps are enough: a difference in any step stays in the weights, whose every bit is compared at the end.
    """
    from train.config.settings import override

    base = override(tiny_config, {"steps": 30, "per_decade": 5, **changes})
    other = "adam" if base.optim.optimizer == "adamw" else base.optim.optimizer
    return [
        base,
        override(base, {"seed": 1, "lr": 3e-3, "warmup_steps": 0}),
        override(base, {"seed": 2, "train_frac": 0.7, "weight_decay": 0.1, "steps": 19}),
        override(base, {"op": "mul", "optimizer": other, "per_decade": 3} | ({} if other == "sgd" else {"beta2": 0.9})),
        override(base, {"seed": 3, "init": "pytorch", "steps": 40}),
    ]


@pytest.fixture
def side_by_side():
    """Trains runs together into a folder; with ``stop_at`` stops when any of them gets there, as by SIGINT."""
    from train.engine.loop import train_together
    from train.errors import Stopped
    from train.storage.store import RunStore

    def go(root, configs, stop_at=None):
        root.mkdir(parents=True, exist_ok=True)
        stores = [RunStore.create(root, config) for config in configs]
        calls = iter(range(10**9))
        signal = (lambda: 2 if next(calls) == stop_at else None) if stop_at is not None else (lambda: None)
        errors = None
        try:
            errors = train_together(list(zip(configs, stores, strict=True)), torch.device("cpu"), stop_signal=signal)
        except Stopped:
            assert stop_at is not None
        return stores, errors

    return go


def log_of(store):
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in store.read_log()]


def assert_same_run(store, alone):
    assert (store.path / "manifest.json").read_bytes() == (alone.path / "manifest.json").read_bytes()
    assert log_of(store) == log_of(alone)
    assert store.done_step == alone.done_step is not None
    found, expected = store.load_resume(), alone.load_resume()
    assert found is not None and expected is not None
    assert found[1] | {"wall_s": 0} == expected[1] | {"wall_s": 0}
    for name, tensor in expected[0].items():
        assert torch.equal(found[0][name], tensor), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny_config, train_run):
    """``alone(case)``: its runs, each trained by itself, once for all numbers of threads."""
    trained = {}

    def go(case):
        if case not in trained:
            root = tmp_path_factory.mktemp("alone")
            trained[case] = [train_run(root, config) for config in variants(tiny_config, CASES[case])]
        return trained[case]

    return go


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threads", [1, 3])
def test_each_run_is_the_run_it_would_be_alone(tmp_path, tiny_config, alone, side_by_side, case, threads):
    """Different steps, so runs leave the stack one by one; 3 threads: a block of models on each, or of rows."""
    configs = variants(tiny_config, CASES[case])
    torch.set_num_threads(threads)
    try:
        stores, errors = side_by_side(tmp_path / "together", configs)
    finally:
        torch.set_num_threads(1)
    assert errors == [None] * len(configs)
    for expected, store in zip(alone(case), stores, strict=True):
        assert_same_run(store, expected)
    assert stores[0].manifest != stores[1].manifest  # control: they are different runs


@pytest.mark.parametrize("changes", [CASES["tables"], CASES["two layers"]], ids=["tables", "two layers"])
def test_stopped_and_resumed(tmp_path, tiny_config, train_run, side_by_side, changes):
    """Stopped together, one of them taken further alone, then all resumed together from different steps."""
    from train.config.settings import override

    configs = variants(tiny_config, changes)
    side_by_side(tmp_path / "together", configs, stop_at=12)
    train_run(tmp_path / "together", configs[1], stop_at=22)
    stores, errors = side_by_side(tmp_path / "together", configs)
    assert errors == [None] * len(configs)
    for config, store in zip(configs, stores, strict=True):
        assert_same_run(store, train_run(tmp_path / "alone", config))
    longer = [override(config, {"steps": 45}) for config in configs]
    stores, _ = side_by_side(tmp_path / "together", longer)
    for config, store in zip(longer, stores, strict=True):
        assert store.load_snapshot(45).keys()
        other = train_run(tmp_path / "straight", config)
        for name, tensor in other.load_snapshot(45).items():
            assert torch.equal(store.load_snapshot(45)[name], tensor)


def test_a_run_that_diverges_leaves_the_others_alone(tmp_path, tiny_config, train_run, side_by_side):
    from train.config.settings import override
    from train.errors import DivergedError

    good = override(tiny_config, {"steps": 60})
    hot = override(good, {"lr": 30.0, "warmup_steps": 0, "seed": 1})
    stores, errors = side_by_side(tmp_path / "together", [good, hot, override(good, {"seed": 2})])
    assert errors is not None
    assert errors[0] is errors[2] is None
    assert isinstance(errors[1], DivergedError)
    assert stores[1].done_step is None
    assert_same_run(stores[0], train_run(tmp_path / "alone", good))
    with pytest.raises(DivergedError) as alone:
        train_run(tmp_path / "alone", hot)
    assert str(errors[1]) == str(alone.value)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_blocks_of_models_give_the_same_gradients(tiny_config, size, monkeypatch):
    """The numbers do not depend on how many models' tables a thread makes at once."""
    from typing import Any

    from train.config.settings import override
    from train.engine.stack import Stack
    from train.passes.tables import table_pass as tables

    def gradients(count):
        monkeypatch.setattr(tables, "BLOCK", count)
        stack = Stack([override(tiny_config, {"seed": seed}) for seed in range(5)], torch.device("cpu"))
        taken: Any = stack.taken
        return stack.update(), stack.weights.grads.clone(), [len(block) for block in taken.blocks]

    losses, alone, blocks = gradients(1)
    assert blocks == [1] * 5
    same, grads, blocks = gradients(size)
    assert max(blocks) == size
    assert torch.equal(grads, alone)
    assert torch.equal(same, losses)


# ---- what may stand side by side ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"d_model": 32}, "model.d_model (16 and 32)"),
        ({"p": 13}, "task.p (11 and 13)"),
        ({"n_layers": 2, "norm": "pre"}, "model.n_layers (1 and 2), model.norm (none and pre)"),
        ({"batch_size": 5}, "optim.batch_size (None and 5)"),
        ({"grokfast_window": 5}, "optim.grokfast_window (None and 5)"),
        (
            {"optimizer": "sgd", "loss": "stablemax"},
            "optim.optimizer (adam and sgd), optim.loss (softmax and stablemax)",
        ),
        ({"layout": "a op b ="}, "task.layout (a b = and a op b =)"),
    ],
    ids=str,
)
def test_runs_of_different_shapes_are_refused_naming_the_fields(tiny_config, changes, says):
    from train.config.settings import override
    from train.engine.shapes import check_shapes
    from train.errors import UsageError

    with pytest.raises(UsageError) as error:
        check_shapes([tiny_config, override(tiny_config, changes)])
    assert says in str(error.value)
    check_shapes([tiny_config, override(tiny_config, {"lr": 1.0, "seed": 5, "op": "sub"})])  # control


@pytest.mark.parametrize("name", settings_table.names())
def test_every_setting_is_shared_or_each_runs_own(name):
    """Two runs that differ in it alone are refused, or take the steps that they take apart, byte for byte."""
    from train.config.settings import override
    from train.engine.shapes import PER_RUN, check_shapes
    from train.engine.stack import Stack
    from train.errors import UsageError

    values = settings_table.values_of(name)
    runs = [settings_table.with_value(name, value) for value in values] + [settings_table.base(name)]
    shared = 0
    for one, other in itertools.combinations(runs, 2):
        pair = [one, override(other, {"seed": 7})] if name != "seed" else [one, other]
        try:
            check_shapes(pair)
        except UsageError as error:
            assert name in str(error) or name in ("task.group", "model.arch")  # these bring others with them
            continue
        assert name in PER_RUN
        shared += 1
        together, apart = Stack(pair, torch.device("cpu")), [Stack([run], torch.device("cpu")) for run in pair]
        for _ in range(5):
            losses = together.update()
            assert torch.equal(losses, torch.cat([stack.update() for stack in apart]))
        for k, stack in enumerate(apart):
            assert torch.equal(together.weights.values[k], stack.weights.values[0])
        assert not torch.equal(*together.weights.values)  # control
    if name == "task.p":  # its number of elements has to be alike: see the group of that size below
        assert shared == 0
        return
    assert (shared > 0) == (name in PER_RUN), "PER_RUN must name what stacks share, and nothing else"


def test_a_setting_that_nobody_listed_is_not_shared(tiny_config, monkeypatch):
    from train.config.settings import override
    from train.engine import shapes as ensemble
    from train.errors import UsageError

    pair = [tiny_config, override(tiny_config, {"lr": 0.5})]
    ensemble.check_shapes(pair)  # control
    monkeypatch.setattr(ensemble, "PER_RUN", {n: alike for n, alike in ensemble.PER_RUN.items() if n != "optim.lr"})
    with pytest.raises(UsageError, match=r"optim.lr \(0.001 and 0.5\)"):
        ensemble.check_shapes(pair)


def test_a_group_and_residues_of_one_size_are_one_shape(tiny_config):
    from train.config.settings import override
    from train.engine.shapes import check_shapes

    check_shapes([override(tiny_config, {"p": 6}), override(tiny_config, {"op": "compose", "group": "S3"})])


def test_too_many_runs_for_memory(tmp_path, monkeypatch, capsys):
    from train.config.run import RunConfig
    from train.engine import shapes as ensemble
    from train.run import main

    free = 100 * ensemble.bytes_per_run(RunConfig())
    monkeypatch.setattr(ensemble, "free_bytes", lambda device: free)
    assert main(["--seeds", "0..80", "--steps", "1", "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert "81 runs" in error and "80 fit" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_bytes_per_run_is_what_a_run_adds(tiny_config):
    """Within a factor of two of the tensors and arrays that a stack of eight holds beyond a stack of four."""
    from train.config.settings import override
    from train.engine.shapes import bytes_per_run
    from train.engine.stack import Stack

    def held(count, config):
        stack = Stack([override(config, {"seed": s}) for s in range(count)], torch.device("cpu"))
        stack.update()
        weights = stack.weights
        moments = [*stack.optimizer.state.values(), *filter(torch.is_tensor, [stack.optimizer.initial])]
        tensors = [weights.values, weights.grads, *weights.frozen.values(), *moments]
        for task in stack.tasks:
            tensors += [task.pairs, task.tokens, task.labels, task.is_defined, task.is_train]
        arrays = [a for shards in stack.full for rows in shards or [] for a in vars(rows).values()]
        return sum(t.numel() * t.element_size() for t in tensors) + sum(a.nbytes for a in arrays)

    window = {"grokfast_window": 6, "decay_towards": "init"}
    for changes in ({}, {"p": 53, "d_model": 64, "n_heads": 4, "d_mlp": 256}, window):
        config = override(tiny_config, changes)
        each = (held(8, config) - held(4, config)) / 4
        assert each / 2 < bytes_per_run(config) < 2 * each


# ---- the command -------------------------------------------------------------------------------------


def test_seeds(tmp_path, capsys):
    from train.run import main

    flags = ["--p", "11", "--train-frac", "0.5", "--d-model", "16", "--n-heads", "2", "--steps", "30", "--quiet"]
    root = tmp_path / "runs"
    assert main([*flags, "--seeds", "0..2,5", "--out", str(root)]) == 0
    paths = capsys.readouterr().out.splitlines()
    assert [path.split("-s")[1].split("-")[0] for path in paths] == ["0", "1", "2", "5"]
    alone = tmp_path / "alone"
    assert main([*flags, "--seed", "5", "--out", str(alone)]) == 0
    name = capsys.readouterr().out.splitlines()[-1].rpartition("/")[2]
    assert (root / name / "manifest.json").read_bytes() == (alone / name / "manifest.json").read_bytes()
    assert main([*flags[:-1], "--seeds", "0..2,5", "--out", str(root)]) == 0  # again: nothing to do
    assert capsys.readouterr().out.count("nothing to do") == 4


@pytest.mark.parametrize("text", ["", "a", "3..1", "1...3", "0..", "-1", "1;2"])
def test_bad_seeds(text, tmp_path, capsys):
    from train.run import main

    assert main([f"--seeds={text}", "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert "0..15" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_some_failed(tmp_path, capsys, monkeypatch):
    """The command ends with status 4, names each failure, and writes the other runs."""
    from train import run

    hot = ["--p", "11", "--train-frac", "0.5", "--d-model", "16", "--n-heads", "2", "--steps", "40", "--quiet"]
    assert run.main([*hot, "--lr", "30", "--warmup-steps", "0", "--seeds", "0,1", "--out", str(tmp_path)]) == 4
    captured = capsys.readouterr()
    assert captured.err.count("failed: the training loss is") == 2
    assert len(captured.out.splitlines()) == 2
