"""The training loop against a plain one, its log, its snapshots, and its failures."""

import json
import math

import pytest
import torch

pytestmark = pytest.mark.usefixtures("quick_disk")

# ---- the loss ----------------------------------------------------------------------------------------


def test_cross_entropy_keeps_its_float64_promise():
    """At a margin of 20 the loss is log1p(e^-20), which would be 0 in float32."""
    from train.passes.loss import cross_entropy

    logits, labels = torch.tensor([[[20.0, 0.0]], [[0.0, 20.0]]]), torch.tensor([[0], [0]])
    loss = cross_entropy(logits, labels)
    assert loss.dtype == torch.float64
    assert float(loss[0]) == pytest.approx(math.log1p(math.exp(-20)), rel=1e-6)
    assert float(loss[1]) == pytest.approx(20 + math.log1p(math.exp(-20)), rel=1e-12)
    assert float(torch.nn.functional.cross_entropy(logits[0], labels[0])) == 0  # control


def test_cross_entropy_has_a_gradient_where_float32_has_none():
    from train.passes.loss import cross_entropy

    logits = torch.tensor([[[20.0, 0.0]]], requires_grad=True)
    cross_entropy(logits, torch.tensor([[0]])).mean().backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 0, 0]) == pytest.approx(-math.exp(-20) / (1 + math.exp(-20)), rel=1e-6)


def test_cross_entropy_averages_over_the_answers_of_a_row():
    from train.passes.loss import cross_entropy

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 4, generator=generator)
    labels = torch.tensor([[0, 1], [3, 3], [2, 0]])
    for row in range(3):
        expected = 0.0
        for answer in range(2):
            x = logits[row, answer].tolist()
            expected += (math.log(sum(map(math.exp, x))) - x[labels[row, answer]]) / 2
        assert float(cross_entropy(logits, labels)[row]) == pytest.approx(expected, rel=1e-12)


# ---- against a plain loop ----------------------------------------------------------------------------


def plain_training(config, steps, weight_decay):
    """The training that the engine promises, without the engine: plain model, PyTorch's optimiser, a log-softmax."""
    from train.model import build_model
    from train.tasks.task import make_task

    task, model, optim = make_task(config), build_model(config), config.optim
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[optim.optimizer]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = kind(trained, betas=(optim.beta1, optim.beta2), eps=optim.eps, weight_decay=weight_decay)
    rows = [i for i in range(len(task.tokens)) if task.is_train is not None and task.is_train[i]]
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = optim.lr * min(step / optim.warmup_steps, 1.0)
        logp = model(task.tokens[rows])[:, task.answer_positions[0]].double().log_softmax(dim=-1)
        loss = -torch.stack([logp[i, int(task.labels[row, 0])] for i, row in enumerate(rows)]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model.state_dict(), losses


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"op": "div"},
        {"optimizer": "adam"},
        {"n_layers": 2, "norm": "pre", "biases": "all"},
        {"arch": "mlp", "layout": "a b"},
    ],
    ids=str,
)
def test_training_equals_a_plain_loop(tmp_path, tiny_config, train_run, changes):
    """Training equals a plain loop; epsilon is large, so that rounding of a gradient near 0 makes no whole step."""
    from train.config.settings import override

    steps, lr, eps = 5, 0.01, 1e-3
    # gradients of at most about 1, a few hundred roundings each, through an update of slope lr / eps
    atol = steps * lr / eps * 300 * torch.finfo(torch.float32).eps
    config = override(tiny_config, {"steps": steps, "lr": lr, "eps": eps, "warmup_steps": 2, **changes})
    store = train_run(tmp_path, config)
    expected, losses = plain_training(config, steps, weight_decay=config.optim.weight_decay)
    found = store.load_snapshot(steps)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=atol, msg=name)
    logged = [row["train_loss"] for row in store.read_log()]
    assert logged[:steps] == pytest.approx(losses, rel=1e-5)
    without, _ = plain_training(config, steps, weight_decay=0.0)  # control
    assert max(float((found[name] - value).abs().max()) for name, value in without.items()) > 10 * atol


def test_evaluate_is_a_plain_loop(tiny_config):
    from train.config.settings import override
    from train.engine.stack import Stack
    from train.model import build_model

    config = override(tiny_config, {"op": "div", "p": 7})
    stack, model = Stack([config], torch.device("cpu")), build_model(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 2  # away from the uniform guess
    stack.weights.load(0, model.state_dict())
    task = stack.tasks[0]
    (scores,) = stack.evaluate([0])
    assert task.is_train is not None
    for subset, chosen in (("train", True), ("test", False)):
        losses, rights = [], []
        for a in range(7):
            for b in range(7):
                row = a * 7 + b
                if b == 0 or bool(task.is_train[row]) != chosen:  # division by 0 is in neither
                    continue
                logits = model(torch.tensor([[a, b, 7]]))[0, 2].tolist()
                answer = a * pow(b, -1, 7) % 7
                losses.append(math.log(sum(map(math.exp, logits))) - logits[answer])
                rights.append(max(range(len(logits)), key=logits.__getitem__) == answer)
        assert len(losses) == 21
        assert scores[f"{subset}_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        assert scores[f"{subset}_acc"] == pytest.approx(sum(rights) / len(rights), rel=1e-12)
    assert scores["train_loss"] != pytest.approx(scores["test_loss"], rel=1e-3)  # control


@pytest.mark.parametrize("changes", [{}, {"n_layers": 2}], ids=str)
def test_evaluate_in_pieces(tiny_config, monkeypatch, changes):
    from train.config.settings import override
    from train.engine.stack import Stack
    from train.passes import protocol

    stack = Stack([override(tiny_config, changes)], torch.device("cpu"))
    (whole,) = stack.evaluate([0])
    monkeypatch.setattr(protocol, "EVAL_ROWS", 7)
    assert stack.evaluate([0])[0] == pytest.approx(whole, rel=1e-6)


# ---- log ---------------------------------------------------------------------------------------------


def plain_scores(store, step):
    """Losses and accuracies of a snapshot by the plain model."""
    from train.model import build_model
    from train.tasks.task import make_task

    model, task = build_model(store.config), make_task(store.config)
    model.load_state_dict(store.load_snapshot(step))
    with torch.no_grad():
        logp = model(task.tokens)[:, -1].double().log_softmax(dim=-1)
    assert task.is_train is not None
    nll = -logp[torch.arange(len(logp)), task.labels[:, 0]]
    right = (logp.argmax(dim=-1) == task.labels[:, 0]).double()
    is_train = task.is_train
    means = [float(values[mask].mean()) for values in (nll, right) for mask in (is_train, ~is_train)]
    return dict(zip(("train_loss", "test_loss", "train_acc", "test_acc"), means, strict=True))


def test_log_has_the_training_loss_of_every_step(tiny_run):
    from train.storage.store import RunStore

    store = RunStore(tiny_run)
    log = store.read_log()
    assert [row["step"] for row in log] == list(range(301))
    assert all(math.isfinite(row["train_loss"]) for row in log)
    assert len(store.steps) > 30
    for step in store.steps:
        scores = plain_scores(store, step)
        assert {key: log[step][key] for key in scores} == pytest.approx(scores, rel=1e-5)
    assert log[150]["train_loss"] != pytest.approx(log[100]["train_loss"], rel=1e-2)  # control


def test_losses_between_evaluations_are_those_of_their_step(tmp_path, tiny_config, train_run):
    """Between evaluations the logged loss of a step is the one that a run ending at that step evaluates."""
    from train.config.settings import override
    from train.engine.schedule import eval_grid

    log = train_run(tmp_path / "long", override(tiny_config, {"steps": 200})).read_log()
    between = [step for step in range(120, 200) if step not in eval_grid(200)]
    assert "test_loss" not in log[between[0]]
    for step in between[::30]:
        short = train_run(tmp_path / f"{step}", override(tiny_config, {"steps": step})).read_log()
        assert short[step]["train_loss"] == pytest.approx(log[step]["train_loss"], rel=1e-5)
        assert short[step]["train_loss"] != pytest.approx(log[step - 1]["train_loss"], rel=1e-5)  # control


def test_batches_log_their_own_loss(tmp_path, tiny_config, train_run):
    """With batches each step logs its batch's loss, and evaluations alone log the training loss."""
    from train.config.settings import override

    log = train_run(tmp_path, override(tiny_config, {"steps": 120, "batch_size": 10})).read_log()
    assert [row["step"] for row in log] == list(range(121))
    for row in log:
        assert ("train_loss" in row) == ("test_loss" in row) != ("batch_loss" in row)


def test_test_rows_are_at_most_100_steps_apart(tiny_run):
    from train.engine.schedule import eval_grid
    from train.storage.store import RunStore

    evaluated = [row["step"] for row in RunStore(tiny_run).read_log() if "test_loss" in row]
    assert set(eval_grid(300)) <= set(evaluated)
    for last in (1, 99, 300, 4_321, 40_000):
        steps = eval_grid(last)
        assert steps[0] == 0
        assert last - steps[-1] < 100
        assert max((b - a for a, b in zip(steps, steps[1:], strict=False)), default=0) <= 100
        assert steps == [step for step in eval_grid(50_000) if step <= last]  # whatever the number of steps


# ---- snapshots ---------------------------------------------------------------------------------------


def log_spaced(per_decade, last):
    """The log grid, by testing for every step whether it is the rounding of a power."""
    powers = {round(10 ** (i / per_decade)) for i in range(per_decade * 9)}
    return [step for step in range(last + 1) if step == 0 or step in powers]


def test_snapshots_are_the_grid_the_last_step_and_where_the_test_scores_moved(tmp_path, tiny_config, train_run):
    from train.config.settings import override

    steps = 250  # not on the grid
    config = override(tiny_config, {"steps": steps, "per_decade": 4, "lr": 0.01, "seed": 3})
    store = train_run(tmp_path, config)
    grid, expected = log_spaced(4, steps), {steps}
    reference = (math.nan, math.nan)
    for row in store.read_log():
        if "test_loss" not in row:
            continue
        here = (math.log10(row["test_loss"]), row["test_acc"])
        moved = abs(here[0] - reference[0]) > 0.25 or abs(here[1] - reference[1]) > 0.05
        if row["step"] in grid or moved:
            expected.add(row["step"])
            reference = here
    assert set(store.steps) == expected
    assert 3 < len(expected) - len(grid) < 60  # control: some were added, and not all
    assert len(expected) < len([row for row in store.read_log() if "test_loss" in row])


def test_at_most_60_extra_snapshots(tmp_path, tiny_config, train_run, monkeypatch):
    from train.config.settings import override
    from train.engine import schedule

    monkeypatch.setattr(schedule, "LOG10_LOSS_MOVE", -1.0)  # every evaluation asks for one
    store = train_run(tmp_path, override(tiny_config, {"steps": 180, "per_decade": 3}))
    extra = set(store.steps) - set(log_spaced(3, 180)) - {180}
    assert len(extra) == 60
    assert sum("test_loss" in row for row in store.read_log()) > 90  # control


# ---- seeds -------------------------------------------------------------------------------------------


def test_seeds(tmp_path, tiny_config, train_run):
    """Equal seeds give equal bytes, other seeds other weights; a split seed changes the split alone."""
    from train.config.settings import override
    from train.tasks.task import make_task

    short = override(tiny_config, {"steps": 20})

    def run(folder, **changes):
        config = override(short, changes)
        return train_run(tmp_path / folder, config), make_task(config)

    (first, task), (again, _) = run("a"), run("b")
    assert (first.path / "manifest.json").read_bytes() == (again.path / "manifest.json").read_bytes()
    assert first.path.name == again.path.name

    other, other_task = run("a", seed=1)
    assert not torch.equal(other.load_snapshot(0)["embed.W_E"], first.load_snapshot(0)["embed.W_E"])
    assert not torch.equal(other_task.rows("train"), task.rows("train"))

    split, split_task = run("a", split_seed=1)
    assert split.path != first.path
    for step, is_same in ((0, True), (20, False)):
        ours, theirs = split.load_snapshot(step), first.load_snapshot(step)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs) == is_same
    assert torch.equal(split_task.rows("train"), other_task.rows("train"))


# ---- failure -----------------------------------------------------------------------------------------

HOT = {"lr": 30.0, "warmup_steps": 0}


def first_bad_step(config) -> int:
    """The first step whose loss is not finite, by the plain model."""
    from train.model import build_model
    from train.tasks.task import make_task

    task, model, lr = make_task(config), build_model(config), config.optim.lr
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.98), weight_decay=1.0)
    rows = task.rows("train")
    for step in range(100):
        logits = model(task.tokens[rows])[:, -1].double()
        loss = torch.nn.functional.cross_entropy(logits, task.labels[rows, 0])
        if not math.isfinite(loss.item()):
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError("it did not diverge")


def test_divergence_is_said_and_logged(tmp_path, tiny_config, train_run):
    from train.config.settings import override
    from train.errors import DivergedError
    from train.storage.store import RunStore

    config = override(tiny_config, HOT)
    bad = first_bad_step(config)
    assert bad > 3
    with pytest.raises(DivergedError, match=rf"training loss is (nan|inf) at step {bad}: lower --lr \(it is 30\)"):
        train_run(tmp_path, config)
    store = RunStore(tmp_path / config.run_id)
    finite = [row["step"] for row in store.read_log() if math.isfinite(row["train_loss"])]
    assert finite == list(range(bad))
    assert store.done_step is None
    with pytest.raises(DivergedError):  # again: no other ending on the second try
        train_run(tmp_path, config)


def test_no_snapshot_and_no_log_row_of_a_diverged_step(tmp_path, tiny_config, train_run):
    from train.config.settings import override
    from train.errors import DivergedError
    from train.storage.store import RunStore

    config = override(tiny_config, {**HOT, "per_decade": 100})  # every early step is on the grid
    with pytest.raises(DivergedError):
        train_run(tmp_path, config)
    store = RunStore(tmp_path / config.run_id)
    assert len(store.steps) > 3
    for line in (store.path / "log.jsonl").read_text().splitlines():
        assert math.isfinite(json.loads(line)["train_loss"]), line
    for step in store.steps:
        for name, tensor in store.load_snapshot(step).items():
            assert tensor.isfinite().all(), (step, name)


def test_divergence_at_the_last_step_is_not_done(tmp_path, tiny_config, train_run):
    from train.config.settings import override
    from train.errors import DivergedError
    from train.storage.store import RunStore

    config = override(tiny_config, HOT)
    config = override(config, {"steps": first_bad_step(config)})
    with pytest.raises(DivergedError):
        train_run(tmp_path, config)
    assert RunStore(tmp_path / config.run_id).done_step is None
