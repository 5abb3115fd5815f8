"""Processed weights equal TransformerLens 3.9's number for number, and leave the probabilities unchanged."""

import itertools

import pytest
import torch

from interp.transformerlens import to_transformer_lens
from tests.compat.models import make, only_3, rows
from train.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")
FLAGS = ("fold_ln", "center_writing_weights", "center_unembed", "refactor_factored_attn_matrices")


def moved(**options):
    """A model in float64 whose biases and norms are all away from their initial values."""
    return make(with_norm_weights=True, **options)


def assert_close(got, want):
    """Assert equality up to float32 rounding: TransformerLens processes every model in float32."""
    bound = 500 * torch.finfo(torch.float32).eps * want.abs().max().clamp(min=1)
    assert got.shape == want.shape and (got - want).abs().max() <= bound, (got - want).abs().max()


@only_3
@pytest.mark.parametrize("norm", ["none", "pre"])
@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)), ids=str)
def test_weights_are_transformerlens_own(norm, flags):
    model, chosen = moved(norm=norm), dict(zip(FLAGS, flags, strict=True))
    theirs = to_transformer_lens(model)
    theirs.process_weights_(**chosen)
    model.process_weights_(**chosen)
    expected = theirs.state_dict()
    for name, tensor in model.state_dict().items():
        if name in expected and not (chosen["refactor_factored_attn_matrices"] and ".attn." in name):
            assert_close(tensor, expected[name])
    if chosen["refactor_factored_attn_matrices"]:  # singular vectors have a sign of their own
        for ours, other in ((model.QK.AB, theirs.QK.AB), (model.OV.AB, theirs.OV.AB)):
            assert_close(ours, other)
        assert_close(model.b_O, theirs.b_O)
    assert_close(model(rows()).log_softmax(-1), theirs(rows()).log_softmax(-1))


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=5)), ids=str)
def test_probabilities_stay(flags):
    names = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases", FLAGS[-1])
    model = moved(norm="pre")
    before = model(rows()).log_softmax(-1)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.process_weights_(**dict(zip(names, flags, strict=True)))
    assert (model(rows()).log_softmax(-1) - before).abs().max() < 1e-9
    changed = [name for name, tensor in model.state_dict().items() if not tensor.equal(weights[name])]
    assert bool(changed) == any(flags), "the control: the weights are others"
    if flags[0]:
        assert model.ln_final.w.eq(1).all() and not model.ln_final.b.any()
    if flags[2]:
        assert model.W_U.mean(dim=-1).abs().max() < 1e-12


def test_what_would_change_probabilities_is_refused():
    model = moved(norm="post")
    with pytest.raises(UsageError, match="fold_ln=False, center_writing_weights=False"):
        model.process_weights_()
    before = model(rows()).log_softmax(-1)
    model.process_weights_(fold_ln=False, center_writing_weights=False)
    assert_close(model(rows()).log_softmax(-1), before)
    slow = moved(attn_rate=0.5)
    with pytest.raises(UsageError, match="attention does not add up to 1"):
        slow.process_weights_()
    with torch.no_grad():
        for block in slow.blocks:
            block.attn.b_V.zero_()
    before = slow(rows()).log_softmax(-1)
    slow.process_weights_()
    assert_close(slow(rows()).log_softmax(-1), before)
