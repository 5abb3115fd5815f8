"""Patching from another snapshot and from other rows; patching by TransformerLens is in tests/compat."""

import pytest
import torch
from oracles.runs import untrained_run


@torch.no_grad()
def hooked_logits(snap, hooks):
    with snap.model.hooks(fwd_hooks=hooks):
        return snap.model(snap.task.tokens)


@pytest.mark.parametrize("norm", ["none", "pre", "post"])
def test_the_last_residual_stream_of_another_snapshot_gives_its_logits(norm, tmp_path):
    from interp.circuits import patch_from

    run = untrained_run(tmp_path, n_layers=2, norm=norm)
    snap, other = run[0], run[10]
    other.model.load_state_dict(  # one way from stream to logits, so that all else is compared
        other.model.state_dict() | {k: v for k, v in snap.model.state_dict().items() if k[:3] in ("une", "ln_")}
    )
    before, theirs = hooked_logits(snap, []), hooked_logits(other, [])
    assert torch.equal(hooked_logits(snap, patch_from(other, "blocks.1.hook_resid_post")), theirs)
    assert not torch.allclose(before, theirs)
    assert torch.equal(hooked_logits(snap, patch_from(snap, "blocks.1.hook_resid_post")), before)
    early = patch_from(snap, ["hook_embed", "blocks.0.attn.hook_pattern", "blocks.1.mlp.hook_pre"])
    assert torch.equal(hooked_logits(snap, early), before)
    assert torch.equal(hooked_logits(snap, []), before)  # and the hooks are gone


def test_logits_of_an_mlp_are_those_of_its_last_neurons(tmp_path):
    from interp.circuits import patch_from

    run = untrained_run(tmp_path, task={"layout": "a b"}, arch="mlp", n_layers=2)
    snap, other = run[0], run[10]
    post = other.run_with_cache()[1]["blocks.1.mlp.hook_post"][:, 0]
    expected = (post @ snap.model.W_U + snap.model.b_U)[:, None].expand(-1, 2, -1)
    found = hooked_logits(snap, patch_from(other, "blocks.1.mlp.hook_post"))
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, hooked_logits(other, []))


CASES = [
    ("blocks.0.hook_resid_mid", {"rows": [0, 5], "positions": [2]}),
    ("blocks.0.attn.hook_z", {"rows": [3, 4, 48], "heads": [1]}),
    ("blocks.0.attn.hook_z", {"positions": [0, 2], "heads": [1, 0]}),
    ("blocks.0.attn.hook_pattern", {"rows": [3], "positions": [2], "heads": [0]}),
    ("blocks.0.mlp.hook_post", {"positions": [1], "neurons": [0, 31]}),
    ("blocks.0.mlp.hook_post", {"neurons": [7]}),
    ("unembed.hook_out", {}),
]


@pytest.mark.parametrize(("name", "chosen"), CASES, ids=str)
def test_what_is_not_chosen_stays(name, chosen, tmp_path):
    """Entries that are not selected keep their values, by a plain loop over all entries."""
    from interp.circuits import patch_from

    run = untrained_run(tmp_path)
    x, new = run[0].run_with_cache()[1][name], run[10].run_with_cache()[1][name]
    axes = ["rows", "positions", "neurons" if "mlp" in name else "heads"]
    if "pattern" in name:
        axes = ["rows", "heads", "positions"]
    expected = x.clone()
    for place in torch.cartesian_prod(*[torch.arange(size) for size in x.shape[:3]]).tolist():
        if all(place[i] in chosen.get(axis, place) for i, axis in enumerate(axes)):
            expected[tuple(place)] = new[tuple(place)]
    hooks = patch_from(run[10], name, **chosen)
    with run[0].model.hooks(fwd_hooks=hooks):
        found = run[0].run_with_cache(names_filter=name)[1][name]
    assert torch.equal(found, expected)
    assert not torch.equal(found, x) and (torch.equal(found, new) == (chosen == {}))


def test_patches_between_inputs_permute_the_answers(tmp_path):
    from interp.circuits import patch_from

    snap = untrained_run(tmp_path).last
    swapped = [b * 7 + a for a in range(7) for b in range(7)]
    before = hooked_logits(snap, [])
    found = hooked_logits(snap, patch_from(snap, "blocks.0.hook_resid_post", inputs=swapped))
    assert torch.equal(found, before[swapped]) and not torch.allclose(found, before)
    one = hooked_logits(snap, patch_from(snap, "blocks.0.hook_resid_post", inputs=swapped, rows=[1]))
    assert torch.equal(one[1], before[7]) and torch.equal(one[2:], before[2:])


def test_a_cache_of_other_inputs_is_a_source(tmp_path):
    from interp.circuits import patch_from

    snap = untrained_run(tmp_path).last
    clean, corrupted = snap.task.tokens[[8]], snap.task.tokens[[20]]
    logits, cache = snap.model.run_with_cache(clean)
    for source in (cache, dict(cache.items())):
        hooks = patch_from(source, "blocks.0.hook_resid_post", positions=[2])
        found = snap.model.run_with_hooks(corrupted, fwd_hooks=hooks)
        assert torch.equal(found[:, 2], logits[:, 2]) and not torch.allclose(found[:, 1], logits[:, 1])


def test_bad_patches_are_refused_in_one_line(tmp_path):
    from interp.circuits import patch_from
    from train.errors import UsageError

    run = untrained_run(tmp_path)
    snap = run.last
    wide = untrained_run(tmp_path / "wide", d_mlp=16).last
    _, cache = snap.run_with_cache(names_filter="hook_embed")
    refused = {
        "no hook 'blocks.0.mlp.hook_pots'.*did you mean 'blocks.0.mlp.hook_post'": (snap, "blocks.0.mlp.hook_pots", {}),
        "the source has no 'hook_pos_embed'; it has hook_embed": (cache, "hook_pos_embed", {}),
        "neuron 32 is out of range: blocks.0.mlp.hook_post has 32": (snap, "blocks.0.mlp.hook_post", {"neurons": [32]}),
        "head 2 is out of range": (snap, "blocks.0.attn.hook_pattern", {"heads": [2]}),
        "position 3 is out of range": (snap, "hook_embed", {"positions": [3]}),
        "row 49 is out of range": (snap, "hook_embed", {"rows": [49]}),
        "input -1 is out of range": (snap, "hook_embed", {"inputs": [-1] * 49}),
        "hook_embed has no heads; it can be patched by rows, positions": (snap, "hook_embed", {"heads": [0]}),
        "hook_z has no neurons": (snap, "blocks.0.attn.hook_z", {"neurons": [0]}),
    }
    for message, (source, name, chosen) in refused.items():
        with pytest.raises(UsageError, match=message):
            patch_from(source, name, **chosen)
    with pytest.raises(UsageError, match=r"has shape \(49, 3, 32\) here and \(49, 3, 16\) in the source"):
        hooked_logits(snap, patch_from(wide, "blocks.0.mlp.hook_post"))
    with pytest.raises(ValueError, match="hook_attn_in is off"):
        patch_from(snap, "blocks.0.hook_attn_in")
    patch_from(snap, "blocks.0.mlp.hook_post", neurons=[31], positions=[2], rows=[48])  # the control
