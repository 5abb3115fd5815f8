"""Ablations, against weights set to zero by hand, plain loops and dense projections."""

import copy
import math

import pytest
import torch
from oracles.handmade import handmade_logits, handmade_run
from oracles.runs import untrained_run
from transformer_lens.hook_points import HookPoint

DEEP = [{"n_layers": 2, "norm": norm} for norm in ("none", "pre", "post")]


@torch.no_grad()
def hooked_logits(snap, hooks):
    with snap.model.hooks(fwd_hooks=hooks):
        return snap.model(snap.task.tokens)


@torch.no_grad()
def zeroed_logits(snap, name, index):
    """Logits of a copy of the model with some weights set to zero."""
    weights = {key: tensor.clone() for key, tensor in snap.model.state_dict().items()}
    weights[name][index] = 0
    model = copy.deepcopy(snap.model)
    model.load_state_dict(weights)
    return model(snap.task.tokens)


@pytest.mark.parametrize("model", DEEP, ids=str)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_neuron_at_zero_is_one_whose_output_weights_are_zero(model, layer, tmp_path):
    from interp.circuits import ablate_neurons

    snap = untrained_run(tmp_path, **model).last
    before = snap.model(snap.task.tokens)
    found = hooked_logits(snap, ablate_neurons([3, 31], layer))
    assert torch.equal(found, zeroed_logits(snap, f"blocks.{layer}.mlp.W_out", [3, 31]))
    assert not torch.allclose(found, zeroed_logits(snap, f"blocks.{layer}.mlp.W_out", [3, 30]))  # the control
    assert torch.equal(snap.model(snap.task.tokens), before)
    assert not any(point.fwd_hooks for point in snap.model.hook_points())


def test_neurons_of_an_mlp(tmp_path):
    from interp.circuits import ablate_neurons

    snap = untrained_run(tmp_path, task={"layout": "a b"}, arch="mlp", n_layers=2).last
    first, last = ablate_neurons([4], 0), ablate_neurons(torch.tensor([4]), 1)
    assert torch.equal(hooked_logits(snap, first), zeroed_logits(snap, "blocks.1.mlp.W_in", [4]))
    assert torch.equal(hooked_logits(snap, last), zeroed_logits(snap, "unembed.W_U", [4]))
    assert not torch.allclose(hooked_logits(snap, first), hooked_logits(snap, last))


@pytest.mark.parametrize("model", DEEP, ids=str)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_head_at_zero_is_one_whose_output_weights_are_zero(model, layer, tmp_path):
    from interp.circuits import ablate_heads

    snap = untrained_run(tmp_path, **model).last
    found = hooked_logits(snap, ablate_heads([1], layer))
    assert torch.equal(found, zeroed_logits(snap, f"blocks.{layer}.attn.W_O", 1))
    assert not torch.allclose(found, zeroed_logits(snap, f"blocks.{layer}.attn.W_O", 0))


@torch.no_grad()
@pytest.mark.parametrize("part", ["neurons", "heads"])
def test_a_mean_is_taken_over_rows_at_each_position(part, tmp_path):
    """The mean is taken by a loop over rows, and the logits are computed by hand from there."""
    from interp.circuits import ablate_heads, ablate_neurons

    snap = untrained_run(tmp_path).last
    model, block = snap.model.double(), snap.model.blocks[0]
    _, cache = model.run_with_cache(snap.task.tokens)
    values = cache["blocks.0.mlp.hook_post" if part == "neurons" else "blocks.0.attn.hook_z"].clone()
    n_rows = len(values)
    for position in range(3):
        for number in (0, 1):
            total = sum(values[row, position, number].clone() for row in range(n_rows))
            for row in range(n_rows):
                values[row, position, number] = total / n_rows
    mid = cache["blocks.0.hook_resid_mid"]
    if part == "heads":
        mid = cache["blocks.0.hook_resid_pre"] + torch.einsum("bphd,hdm->bpm", values, block.attn.W_O) + block.attn.b_O
        values = (mid @ block.mlp.W_in + block.mlp.b_in).relu()
    expected = (mid + values @ block.mlp.W_out + block.mlp.b_out) @ model.W_U + model.b_U
    ablate = ablate_neurons if part == "neurons" else ablate_heads
    torch.testing.assert_close(hooked_logits(snap, ablate([0, 1], how="mean")), expected, rtol=1e-10, atol=1e-10)
    assert (hooked_logits(snap, ablate([0, 1])) - expected).abs().max() > 0.1  # the control: zero is another thing


def test_means_do_not_depend_on_how_rows_are_split_among_passes(tmp_path, monkeypatch):
    from interp.circuits import ablate_neurons
    from interp.runs import snapshot

    snap = untrained_run(tmp_path).last
    hooks = ablate_neurons(range(20), how="mean")
    with snap.model.hooks(fwd_hooks=hooks):
        whole = snap.loss("all")
    plain = snap.loss("all")
    monkeypatch.setattr(snapshot, "CHUNK_ROWS", 10)
    with snap.model.hooks(fwd_hooks=hooks):
        assert snap.loss("all") == whole
    assert snap.loss("all") == pytest.approx(plain, rel=1e-6) and abs(whole - plain) > 1e-3


def test_bad_ablations_are_refused_in_one_line(tmp_path):
    from interp.circuits import ablate_heads, ablate_neurons
    from train.errors import UsageError

    snap = untrained_run(tmp_path).last
    mlp = untrained_run(tmp_path / "mlp", task={"layout": "a b"}, arch="mlp").last
    with pytest.raises(UsageError, match="neuron 32 is out of range.*hook_post has 32, numbered 0 to 31"):
        hooked_logits(snap, ablate_neurons([5, 32]))
    with pytest.raises(UsageError, match="head -1 is out of range"):
        hooked_logits(snap, ablate_heads([-1], how="mean"))
    with pytest.raises(UsageError, match="no hook 'blocks.1.mlp.hook_post'.*did you mean 'blocks.0.mlp.hook_post'"):
        hooked_logits(snap, ablate_neurons([0], layer=1))
    with pytest.raises(UsageError, match="no hook 'blocks.0.attn.hook_z' in this HookedMLP .* n_heads 0"):
        hooked_logits(mlp, ablate_heads([0]))
    hooked_logits(snap, ablate_neurons([31]) + ablate_heads([1]))  # the control
    assert not any(point.fwd_hooks for point in snap.model.hook_points())


def test_another_how_is_refused():
    from interp.circuits.hooks import check_choice
    from train.errors import UsageError

    with pytest.raises(UsageError, match="how = 'median'; choose one of 'zero', 'mean'"):
        check_choice("how", "median", ("zero", "mean"))


# ---- frequencies ------------------------------------------------------------------------------------

TASKS = [("add", 7), ("add", 8), ("sub", 7), ("mul", 7), ("div", 11), ("compose", "C6")]


def task_of(op, structure):
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    p, group = (structure, None) if isinstance(structure, int) else (None, structure)
    return make_task(RunConfig(task=TaskConfig(op=op, p=p, group=group, train_frac=0.5)))


def places(op, structure):
    """Places of both operands in the cycle [rows] (-1 outside), the length of the cycle, and the sign of the law."""
    n = structure if isinstance(structure, int) else int(structure[1:])
    place = list(range(n))
    if op in ("mul", "div"):
        root = {7: 3, 11: 2}[n]
        place = [-1] * n
        for exponent in range(n - 1):
            place[pow(root, exponent, n)] = exponent
        n -= 1
    x = torch.tensor(place)
    size = len(place)
    return x.repeat_interleave(size), x.repeat(size), n, -1 if op in ("sub", "div") else 1


def projector(op, structure, ks, along):
    """The orthogonal projector [rows, rows] on the components, from cos and sin of the pairs themselves."""
    a, b, n, sign = places(op, structure)
    inside = ((a >= 0) & (b >= 0)).double()
    phases = {"a": a, "b": b, "answer": a + sign * b, "difference": a - sign * b}
    waves = []
    for k in ks:
        for name in phases if along == "all four" else [along]:
            angle = 2 * math.pi * k * phases[name].double() / n
            waves += [angle.cos() * inside, angle.sin() * inside]
    U, S, _ = torch.linalg.svd(torch.stack(waves, dim=1), full_matrices=False)
    U = U[:, S > 1e-8 * S[0]]
    return U @ U.T, inside


@pytest.mark.parametrize("along", ["answer", "difference", "a", "b", "all four"])
@pytest.mark.parametrize(("op", "structure"), TASKS)
def test_what_is_taken_out_is_the_projection_on_the_waves(op, structure, along):
    from interp.circuits import ablate_frequencies
    from interp.parts.structure import Law, find_law

    task = task_of(op, structure)
    law = find_law(task)
    assert isinstance(law, Law)
    X = torch.randn(len(task.tokens), 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ks = [1, law.n // 2]  # with the alternating function where n is even
    P, inside = projector(op, structure, ks, along)
    part = (P @ X.flatten(1)).view_as(X)
    [(name, remove)] = ablate_frequencies(law, [*ks, ks[0]], "blocks.0.hook_resid_pre", along)  # one given twice
    assert name == "blocks.0.hook_resid_pre"
    torch.testing.assert_close(remove(X, HookPoint()), X - part)
    assert part.abs().max() > 0.1
    [(_, keep)] = ablate_frequencies(law, ks, "blocks.0.hook_resid_pre", along, keep=True)
    rows = inside.bool()
    expected = X.clone()
    expected[rows] = part[rows] + X[rows].mean(dim=0)
    torch.testing.assert_close(keep(X, HookPoint()), expected)


def test_no_frequency_taken_out_is_nothing_and_none_kept_is_the_mean():
    from interp.circuits import ablate_frequencies
    from interp.parts.structure import find_law

    law = find_law(task_of("add", 5))
    X = torch.randn(25, 2, generator=torch.Generator().manual_seed(0))
    [(_, remove)], [(_, keep)] = ablate_frequencies(law, []), ablate_frequencies(law, [], keep=True)
    assert torch.equal(remove(X, HookPoint()), X)
    torch.testing.assert_close(keep(X, HookPoint()), X.mean(dim=0).expand(25, 2))


def test_the_hand_made_model_without_one_of_its_frequencies_is_that_of_the_others(tmp_path):
    from interp import open_run
    from interp.circuits import ablate_frequencies, effects
    from interp.parts.structure import find_law

    run = open_run(handmade_run(tmp_path))  # keys 3, 5, 9
    snap, law = run[100], find_law(run.task)
    found = hooked_logits(snap, ablate_frequencies(law, [3], "hook_embed", "all four"))[:, -1].double()
    expected = handmade_logits(23, [5, 9])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (snap.logits.double() - expected).abs().max() > 1  # the control
    table = effects(
        run[1000],
        {
            "none of its own": ablate_frequencies(law, [2, 4, 11], "hook_embed", "all four"),
            "its own": ablate_frequencies(law, [3, 5, 9], "hook_embed", "all four"),
            "its own in logits": ablate_frequencies(law, [3, 5, 9]),
            "but its own": ablate_frequencies(law, [3, 5, 9], keep=True),
        },
        subsets=["all"],
    ).set_index("intervention")
    assert abs(table.loss_change_nats["none of its own"]) < 1e-4
    assert table.accuracy["none of its own"] == table.accuracy["none"] == 1
    assert table.loss_nats["its own"] == pytest.approx(math.log(23), rel=1e-3)
    assert table.accuracy["its own"] < 0.2
    assert table.loss_nats["its own in logits"] > math.log(23) and table.accuracy["its own in logits"] < 0.5
    assert table.accuracy["but its own"] == 1


@pytest.mark.parametrize("hook_name", ["unembed.hook_out", "blocks.0.mlp.hook_post"])
def test_neurons_of_the_hand_made_model_without_its_answer_waves(hook_name, tmp_path):
    """Removing a frequency from neurons or from logits is the same: the rest is linear and the skip connection empty.

    Neurons hold |cos(w(a-b)/2)| cos(w(a+b) + 2f), of which the mean over a-b alone goes: what is left is right for
    the pairs whose |cos(w(a-b)/2)| is above that mean.
    """
    from interp import open_run
    from interp.circuits import ablate_frequencies
    from interp.parts.structure import find_law

    p, k = 23, 3
    run = open_run(handmade_run(tmp_path, p=p, keys=(k,)))
    law = find_law(run.task)
    logits = handmade_logits(p, [k])
    P, _ = projector("add", p, [k], "answer")
    found = hooked_logits(run[100], ablate_frequencies(law, [k], hook_name))[:, -1].double()
    torch.testing.assert_close(found, logits - P @ logits, rtol=1e-4, atol=1e-4)
    carrier = [abs(math.cos(math.pi * k * (a - b) / p)) for a in range(p) for b in range(p)]
    mean = sum(carrier) / len(carrier)
    right = found.argmax(dim=-1) == run.task.labels[:, 0]
    clear = torch.tensor([abs(c - mean) > 0.05 for c in carrier])
    assert right[clear].tolist() == [c > mean for c in carrier if abs(c - mean) > 0.05]
    assert 0.3 < right.double().mean() < 0.7 and clear.double().mean() > 0.8
    other = hooked_logits(run[100], ablate_frequencies(law, [4], hook_name))[:, -1]
    assert (other - run[100].logits).abs().max() < 0.01 * run[100].logits.abs().max()  # aliases of the phases


def test_masked_scores_stay_masked(tmp_path):
    from interp.circuits import ablate_frequencies
    from interp.parts.structure import find_law

    run = untrained_run(tmp_path)
    hooks = ablate_frequencies(find_law(run.task), [1, 2], "blocks.0.attn.hook_attn_scores", "all four")
    _, cache = run.last.run_with_cache()
    [(name, remove)] = hooks
    scores = cache[name]
    found = remove(scores, HookPoint())
    assert torch.equal(found == -torch.inf, scores == -torch.inf) and not found.isnan().any()
    assert (found != scores).any()
    assert hooked_logits(run.last, hooks).isfinite().all()


def test_bad_frequencies_are_refused_in_one_line(tmp_path):
    from interp.circuits import ablate_frequencies
    from interp.parts.structure import find_law
    from train.errors import UsageError

    run = untrained_run(tmp_path)
    law = find_law(run.task)
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"frequency {k} is not one of Z_7: give 1 to 3"):
            ablate_frequencies(law, [k])
    with pytest.raises(UsageError, match="unembed.hook_out came with 5 rows; frequencies need all 49 rows"):
        run.last.model.run_with_hooks(run.task.tokens[:5], fwd_hooks=ablate_frequencies(law, [1]))
    with pytest.raises(UsageError, match="no frequencies to ablate: the answers of x2_y2"):
        ablate_frequencies(find_law(task_of("x2_y2", 7)), [1])
    ablate_frequencies(law, [3])  # the control: (p - 1) / 2
