"""The end of a forward pass, against the whole hooked model."""

import pytest
import torch
from oracles.runs import SHAPES, random_run

TRANSFORMERS = {name: fields for name, fields in SHAPES.items() if fields.get("arch") != "mlp"} | {
    "post": {"op": "add", "p": 7, "norm": "post", "biases": "all"},
    "deep": {"op": "sub", "p": 7, "n_layers": 2, "norm": "pre", "act_fn": "gelu", "output_scale": 0.5},
    "deep-post": {"op": "add", "p": 7, "n_layers": 2, "norm": "post", "positions": "sinusoidal"},
}


def ablations_of(snap):
    """Every kind of ablation of the last layer by name, each with another of the same kind."""
    from interp.circuits import ablate_frequencies, ablate_heads, ablate_neurons
    from interp.parts.memo import Unavailable
    from interp.parts.structure import find_law

    cfg, law = snap.model.cfg, find_law(snap.task)
    last = cfg.n_layers - 1
    post = f"blocks.{last}.mlp.hook_post"
    found = {f"heads {how}": [ablate_heads([h], last, how) for h in (0, 1)] for how in ("zero", "mean")}
    if not cfg.attn_only:
        groups = [[0, 3, 5], range(12)]
        found |= {f"neurons {how}": [ablate_neurons(g, last, how) for g in groups] for how in ("zero", "mean")}
    if not isinstance(law, Unavailable):
        for hook in ["unembed.hook_out"] + [post] * (not cfg.attn_only):
            found |= {
                f"{hook} {keep}": [ablate_frequencies(law, [k], hook, keep=keep) for k in (1, 2)]
                for keep in (False, True)
            }
    return found


@torch.no_grad()
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_what_follows_a_hook_is_what_the_whole_model_computes(name, tmp_path):
    from interp.circuits.tail import tail_of

    snap = random_run(tmp_path, **TRANSFORMERS[name]).last
    tail, rows = tail_of(snap), snap.task.rows("test")
    assert tail is not None
    torch.testing.assert_close(tail.logits([], rows), snap.answer_logits()[rows], rtol=1e-5, atol=1e-5)
    for what, (hooks, others) in ablations_of(snap).items():
        assert tail.serves(hooks), what
        with snap.model.hooks(fwd_hooks=hooks):
            expected = snap.answer_logits()[rows]
        got, scale = tail.logits(hooks, rows), float(expected.abs().max())
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * scale, msg=what)
        assert (tail.logits(others, rows) - expected).abs().max() > 1e-4 * scale, what  # the control


def test_hooks_elsewhere_are_left_to_the_model(tmp_path):
    from interp.circuits import ablate_heads, ablate_neurons
    from interp.circuits.tail import tail_of

    snap = random_run(tmp_path / "two", **SHAPES["two"]).last
    tail = tail_of(snap)
    assert tail is not None and tail.serves(ablate_heads([0], 1))
    assert not tail.serves(ablate_heads([0], 0)) and not tail.serves(ablate_heads([0], 1) + ablate_neurons([0], 1))
    assert tail_of(random_run(tmp_path / "mlp", **SHAPES["mlp"]).last) is None


def test_hooks_of_the_caller_stay_active(tmp_path):
    from interp.circuits import ablate_neurons, ablations

    snap = random_run(tmp_path, **SHAPES["add"]).last
    plain = ablations(snap)
    with snap.model.hooks(fwd_hooks=ablate_neurons(range(20))):
        under = ablations(snap)
        assert under.loss_nats[0] == snap.loss("train")
    assert (under.loss_nats - plain.loss_nats).abs().min() > 1e-4
    assert ablations(snap).equals(plain)
