"""Tables of effects, against losses computed one by one."""

import dataclasses
import math
from typing import Any, cast

import pytest
import torch
from oracles.runs import untrained_run


def test_every_row_is_the_loss_under_its_hooks(tmp_path):
    from interp.circuits import ablate_heads, ablate_neurons, effects

    snap = untrained_run(tmp_path, n_layers=2).last
    interventions = {"head": ablate_heads([1], 1), "neurons": ablate_neurons(range(9), 1, "mean")}
    table = effects(snap, interventions)
    columns = ["intervention", "subset", "loss_nats", "accuracy", "loss_change_nats", "accuracy_change"]
    assert list(table.columns) == columns
    assert table.intervention.tolist() == ["none"] * 3 + ["head"] * 3 + ["neurons"] * 3
    assert table.subset.tolist() == ["train", "test", "all"] * 3
    for row in cast(Any, table.itertuples()):
        before = snap.loss(row.subset), snap.accuracy(row.subset)
        with snap.model.hooks(fwd_hooks={"none": [], **interventions}[row.intervention]):
            loss, accuracy = snap.loss(row.subset), snap.accuracy(row.subset)
        assert row.loss_nats == pytest.approx(loss, rel=1e-12) and row.accuracy == accuracy
        assert row.loss_change_nats == pytest.approx(loss - before[0], abs=1e-12)
        assert row.accuracy_change == pytest.approx(accuracy - before[1], abs=1e-12)
    assert table.loss_change_nats[3:].abs().min() > 1e-3 and not table.loss_change_nats[:3].any()  # they do act
    assert not any(point.fwd_hooks for point in snap.model.hook_points())


def test_one_pass_over_all_rows_for_each_intervention(tmp_path):
    from interp.circuits import ablate_neurons, effects

    snap, seen = untrained_run(tmp_path).last, []

    def count(x, hook):
        seen.append(len(x))

    snap.model.add_hook("hook_embed", count)
    effects(snap, {"some": ablate_neurons([0]), "others": ablate_neurons([1])})
    assert seen == [49, 49, 49]


def test_rows_without_an_answer_count_nowhere(tmp_path):
    from interp.circuits import ablate_neurons, effects

    snap = untrained_run(tmp_path, task={"op": "div"}).last
    table = effects(snap, {"some": ablate_neurons([0, 1])})
    assert table.loss_nats.notna().all()
    with snap.model.hooks(fwd_hooks=ablate_neurons([0, 1])):
        assert table.loss_nats[5] == pytest.approx(snap.loss("all"), rel=1e-12)


def test_an_unknown_split_leaves_all(tmp_path):
    from interp.circuits import ablate_neurons, effects

    run = untrained_run(tmp_path)
    run.__dict__["task"] = dataclasses.replace(run.task, is_train=None)
    table = effects(run.last, {"some": ablate_neurons([0])})
    assert table.subset.tolist() == ["all", "all"]


def test_bad_interventions_are_refused_before_anything_is_run(tmp_path):
    from interp.circuits import ablate_frequencies, ablate_heads, effects
    from interp.parts.structure import find_law
    from train.errors import UsageError

    run = untrained_run(tmp_path)
    snap, law = run.last, find_law(run.task)
    with pytest.raises(UsageError, match="'none' names the row without an intervention"):
        effects(snap, {"none": ablate_heads([0])})
    with pytest.raises(UsageError, match="no hook 'blocks.3.attn.hook_z'"):
        effects(snap, {"some": ablate_heads([0], 3)})
    with pytest.raises(ValueError, match=r"hook_result is off: call model.set_use_attn_result\(True\) first"):
        effects(snap, {"some": ablate_frequencies(law, [1], "blocks.0.attn.hook_result")})
    with pytest.raises(ValueError, match="unknown subset 'half'"):
        effects(snap, {}, subsets=["half"])
    assert effects(snap, {}).intervention.tolist() == ["none"] * 3  # the control


def test_the_usual_table(tmp_path):
    from interp.circuits import ablate_frequencies, ablate_heads, ablate_neurons, ablations, effects
    from interp.parts.structure import find_law

    run = untrained_run(tmp_path, n_layers=2)
    snap, law = run.last, find_law(run.task)
    table = ablations(snap, clusters={"A": [1, 2], "B": range(5, 9)}, ks=[3, 1], subsets=["test"])
    keys = table[["kind", "part", "how"]].apply(tuple, axis=1).tolist()
    heads = [("head", f"L{layer}H{head}") for layer in (0, 1) for head in (0, 1)]
    parts = [*heads, ("neurons", "A"), ("neurons", "B")]
    wanted = {("none", "", "")} | {(*part, how) for part in parts for how in ("zero", "mean")}
    for place in ("blocks.1.mlp.hook_post", "unembed.hook_out"):
        wanted |= {("frequency", f"k={ks} in {place}", "removed") for ks in ("1", "3", "1,3")}
        wanted |= {("frequency", f"k=1,3 in {place}", "kept")}
    assert len(keys) == len(wanted) and set(keys) == wanted
    loss = dict(zip(keys, table.loss_nats, strict=True))
    single = {
        ("head", "L0H1", "mean"): ablate_heads([1], 0, "mean"),
        ("neurons", "B", "zero"): ablate_neurons([5, 6, 7, 8], 1),
        ("frequency", "k=3 in unembed.hook_out", "removed"): ablate_frequencies(law, [3]),
        ("frequency", "k=1,3 in blocks.1.mlp.hook_post", "kept"): ablate_frequencies(
            law, [1, 3], "blocks.1.mlp.hook_post", keep=True
        ),
    }
    for key, hooks in single.items():
        assert loss[key] == effects(snap, {"it": hooks}, ["test"]).loss_nats[1]
    assert table.loss_nats.nunique() > 0.9 * len(table)  # they differ


def test_an_mlp_has_no_rows_of_heads_and_a_task_without_a_law_no_frequencies(tmp_path):
    from interp.circuits import ablations
    from train.errors import UsageError

    task = {"layout": "a b", "op": "x2_y2"}
    snap = untrained_run(tmp_path, task=task, arch="mlp", n_layers=2).last
    assert ablations(snap, clusters={"A": [0]}).kind.unique().tolist() == ["none", "neurons"]
    with pytest.raises(UsageError, match="no frequencies to ablate: the answers of x2_y2"):
        ablations(snap, ks=[1])


def test_all_heads_and_neurons_gone_leaves_what_the_embedding_says(tmp_path):
    """Without heads and neurons the residual stream at "=" is constant: the loss is a cross-entropy by hand."""
    from interp.circuits import ablate_heads, ablate_neurons, effects

    snap = untrained_run(tmp_path).last
    table = effects(snap, {"all": ablate_heads([0, 1]) + ablate_neurons(range(32))}, ["all"])
    w = snap.model.state_dict()
    resid = w["embed.W_E"][7] + w["pos_embed.W_pos"][2] + w["blocks.0.attn.b_O"] + w["blocks.0.mlp.b_out"]
    logits = (resid @ w["unembed.W_U"] + w["unembed.b_U"]).tolist()
    total = math.log(sum(math.exp(x) for x in logits))
    expected = sum(total - logits[answer] for answer in range(7)) / 7  # each answer is that of seven pairs
    assert table.loss_nats[1] == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(torch.tensor(table.loss_change_nats[1]))
