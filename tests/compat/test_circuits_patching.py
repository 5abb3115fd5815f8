"""``interp.circuits.patch_inputs``, which runs transformer_lens.patching, against a loop over places."""

import itertools
import math
from typing import Any, cast

import pytest
import torch

from tests.oracles.runs import untrained_run

CLEAN, CORRUPTED = [3, 10], [40, 19]  # (0, 3), (1, 3) and (5, 5), (2, 5) of p = 7
ANSWERS, WRONG = [3, 4], [3, 0]


@pytest.fixture(params=["none", "pre", "post"])
def snap(request, tmp_path):
    return untrained_run(tmp_path, n_layers=2, norm=request.param).last


def difference(logits, right=ANSWERS, wrong=WRONG):
    """Mean over the two rows of the difference of two logits, read at "="."""
    return sum(float(logits[i, 2, right[i]] - logits[i, 2, wrong[i]]) for i in (0, 1)) / 2


def by_hand(snap, clean, corrupted, right, wrong):
    """The metric under every patch, by hooks made by hand: {(activation, layer, position, head): value}."""
    model, tokens = snap.model, snap.task.tokens
    _, cache = model.run_with_cache(tokens[clean])
    found = {}

    def run(key, name, *index):
        def put(x, hook):
            x = x.clone()
            x[index] = cache[name][index]
            return x

        logits = model.run_with_hooks(tokens[corrupted], fwd_hooks=[(name, put)])
        found[key] = difference(logits, right, wrong)

    every = slice(None)
    for layer, position in itertools.product(range(2), range(3)):
        for name in ("resid_pre", "resid_mid", "attn_out", "mlp_out"):
            run((name, layer, position, None), f"blocks.{layer}.hook_{name}", every, position)
        for head in range(2):
            run(("z", layer, position, head), f"blocks.{layer}.attn.hook_z", every, position, head)
    for layer, head in itertools.product(range(2), range(2)):
        for name in "zqkv":
            run((name, layer, None, head), f"blocks.{layer}.attn.hook_{name}", every, every, head)
        run(("pattern", layer, None, head), f"blocks.{layer}.attn.hook_pattern", every, head)
    return found


def test_every_place_of_the_table_is_that_patch(snap, capsys):
    from interp.circuits import patch_inputs

    clean, corrupted, right, wrong = [8, 10], [40, 19], [2, 4], [3, 0]  # (1, 1), (1, 3); (5, 5), (2, 5)
    table = patch_inputs(snap, clean, corrupted)
    assert list(table.columns) == ["activation", "layer", "position", "head", "effect", "recovered"]
    assert capsys.readouterr().err == ""  # no progress bars
    hand = by_hand(snap, clean, corrupted, right, wrong)
    base = difference(snap.model(snap.task.tokens[corrupted]), right, wrong)
    best = difference(snap.model(snap.task.tokens[clean]), right, wrong)
    assert len(table) == len(hand)
    scale = 20 * torch.finfo(torch.float32).eps * max(map(abs, hand.values()))
    for row in cast(Any, table.astype(object).where(table.notna(), None).itertuples()):
        effect = hand[row.activation, row.layer, row.position, row.head] - base
        assert row.effect == pytest.approx(effect, abs=scale)
        assert row.recovered == pytest.approx(effect / (best - base), abs=2 * scale / abs(best - base))
    assert table.effect.abs().max() > 0.1 and table.effect.round(5).nunique() > 20  # the control: places differ
    first = table[(table.activation == "resid_pre") & (table.layer == 0)].set_index("position").recovered
    assert first[2] == pytest.approx(0, abs=scale)  # "=" is "=" in both
    assert not any(point.fwd_hooks for point in snap.model.hook_points())


def test_rows_that_cannot_be_told_apart_are_refused(snap, tmp_path):
    from interp.circuits import answer_logit_difference, patch_inputs
    from train.errors import UsageError

    with pytest.raises(UsageError, match="rows 3 and 40 have the same answer"):
        patch_inputs(snap, CLEAN, CORRUPTED)
    with pytest.raises(UsageError, match="got 1 clean and 2 corrupted rows"):
        patch_inputs(snap, [3], [40, 19])
    with pytest.raises(UsageError, match="row 49 is out of range: the task has 49"):
        patch_inputs(snap, [49], [0])
    division = untrained_run(tmp_path / "div", task={"op": "div"}).last
    with pytest.raises(UsageError, match=r"row 7, the pair \(1, 0\), has no answer"):
        answer_logit_difference(division, [8], [7])
    mlp = untrained_run(tmp_path / "mlp", task={"layout": "a b"}, arch="mlp").last
    with pytest.raises(UsageError, match="an MLP does not have: use patch_from"):
        patch_inputs(mlp, [8], [40])


def test_a_metric_of_ones_own(snap):
    """A user's metric is used; where clean and corrupted rows score equally, nothing can be recovered."""
    from interp.circuits import patch_inputs

    table = patch_inputs(snap, CLEAN, CORRUPTED, metric=lambda logits: logits[:, 2, 0].mean())
    change = snap.model(snap.task.tokens[CLEAN])[:, 2, 0] - snap.model(snap.task.tokens[CORRUPTED])[:, 2, 0]
    last = table[(table.activation == "resid_pre") & (table.layer == 0)]
    assert last.recovered.notna().all() and math.isfinite(change.mean())
    flat = patch_inputs(snap, CLEAN, CORRUPTED, metric=lambda logits: torch.ones(()))
    assert flat.recovered.isna().all() and not flat.effect.any()
