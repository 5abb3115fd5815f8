"""The forward pass that measures share: the frugal one where it knows the model, else the hooked model itself."""

import pytest
import torch
from oracles.runs import SHAPES, random_run


@pytest.mark.parametrize("shape", ["add", "two", "mlp", "norm", "pizza"])
def test_the_plain_forward_gives_the_same_logits_and_neurons(tmp_path, monkeypatch, shape):
    from interp.parts import activations as parts

    snap = random_run(tmp_path, **SHAPES[shape]).last
    weights = parts.weights_of(snap)
    frugal = parts.forward(snap, weights)
    monkeypatch.setattr(parts, "KNOWS", {})
    asked = []
    monkeypatch.setattr(parts, "plain_forward", lambda *given, to=parts.plain_forward: asked.append(1) or to(*given))
    plain = parts.forward(snap, weights)
    assert asked == [1]  # control: it is another way
    for found, expected in zip(plain, frugal, strict=True):
        assert found is not None and expected is not None and found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    moved = {name: tensor + 0.1 for name, tensor in weights.items()}
    assert not torch.allclose(parts.forward(snap, moved)[0], plain[0], atol=1e-2)  # other weights are taken
    torch.testing.assert_close(snap.answer_logits()[:, 0], plain[0], rtol=0, atol=1e-4 * float(plain[0].abs().max()))


@pytest.mark.parametrize("shape", ["add", "mlp"])
def test_the_scale_of_the_logits_is_in_every_measure(tmp_path, shape):
    """Scaling the logits by 3 gives the measures of a model with an output layer 3 times as large."""
    from oracles.runs import saved

    from interp.measures import measure_snapshot
    from train.config.settings import override

    plain = random_run(tmp_path / "plain", **SHAPES[shape])
    weights = {step: plain.weights(step) for step in plain.steps}
    larger = {
        step: {name: 3 * t if name.startswith("unembed.") else t for name, t in tensors.items()}
        for step, tensors in weights.items()
    }
    scaled = saved(tmp_path / "scaled", override(plain.config, {"output_scale": 3.0}), weights)
    folded = saved(tmp_path / "folded", plain.config, larger)
    for run in (plain, scaled, folded):
        run.given_key_freqs = (1, 2)
    found, expected = measure_snapshot(scaled.last), measure_snapshot(folded.last)
    before = measure_snapshot(plain.last)
    for name, value in expected.items():
        if isinstance(value, float) and "W_U" not in name and "norm" not in name:
            assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    for name in ("test_loss", "restricted_loss_neuron_all", "excluded_loss_neuron_train"):  # control
        assert found[name] != pytest.approx(before[name], rel=1e-3)
