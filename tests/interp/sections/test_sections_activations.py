"""Neurons, attention and the logit map in the report: on the hand-made run and others."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from oracles.handmade import handmade_logits, handmade_run
from oracles.runs import SHAPES, random_run

P, KEYS = 23, (3, 5, 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), P, KEYS))


def of_kind(blocks: Any, name: str) -> list[Any]:
    return [block for block in blocks if type(block).__name__ == name]


def test_clusters_are_the_handmade_ones(run):
    from interp.sections import neurons

    clusters, scatter, images = of_kind(neurons.build(run), "Figure")
    sizes = {trace.name: trace.y[-1] for trace in clusters.fig.data if trace.name.startswith("k = ")}
    assert sizes == {f"k = {k}": 32 for k in KEYS}
    points = scatter.at(run.steps[-1]).data[0]
    assert sorted(set(points.x)) == list(KEYS) and min(points.y) > 0.85
    titles = [note.text for note in images.fig.layout.annotations]
    a, b = torch.arange(P)[:, None], torch.arange(P)[None, :]
    for i, title in enumerate(titles):
        neuron, k = int(title.split()[1]), int(title.split("= ")[1].rstrip(")"))
        place = neuron % 32  # of a key's neurons: phase by phase, both signs
        f, sign = math.pi * (place // 2) / 16, 1 - 2 * (place % 2)
        w = 2 * math.pi * k / P
        expected = (sign * ((w * a + f).cos() + (w * b + f).cos())).relu()
        drawn = images.at(run.steps[-1]).data[i].z
        np.testing.assert_allclose(drawn, (expected / expected.max()).numpy(), atol=1e-5)
        assert np.abs(drawn - expected.numpy()).max() > 0.4  # the control: activations reach 2, shares 1
        assert f"{float(expected.max()):.3g} in neuron {neuron}" in images.texts[-1]


def test_clusters_without_an_image_are_counted(tmp_path, run):
    from interp import open_run
    from interp.sections import neurons

    takeaway = of_kind(neurons.build(run), "Figure")[2].takeaway
    assert "left out" not in takeaway  # the control: three clusters
    many = open_run(handmade_run(tmp_path, P, (1, 2, 3, 5, 7, 9, 11), scales=(0.0, 1.0)))
    images = of_kind(neurons.build(many), "Figure")[2]
    assert len(images.fig.data) == neurons.N_CLUSTERS == 6
    assert "1 smaller cluster is left out." in images.takeaway


def test_attention_is_even_in_the_handmade_model(run):
    from interp.sections import attention

    (figure,) = of_kind(attention.build(run), "Figure")
    for trace in figure.at(run.steps[-1]).data:
        np.testing.assert_allclose(trace.z, 1 / 3, atol=1e-6)
    said = "every head a 0.33, b 0.33, '=' 0.33. Attention to a is 0.33 for every pair."
    assert said in figure.takeaway


def titles(figure: Any) -> list[str]:
    """Titles of the panels of a figure, in order."""
    return [note.text for note in figure.fig.layout.annotations]


@pytest.mark.parametrize("shape", ["add", "two", "pizza"])
def test_attention_is_the_pattern_at_the_answer(tmp_path, shape):
    from interp.sections import attention

    run = random_run(tmp_path, **SHAPES[shape])
    (figure,) = of_kind(attention.build(run), "Figure")
    _, cache = run.last.run_with_cache()
    n, cfg = math.isqrt(len(run.task.pairs)), run.last.model.cfg
    drawn = list(figure.at(run.steps[-1]).data)
    assert len(drawn) == cfg.n_layers * cfg.n_heads
    assert "every head" not in figure.takeaway  # the control: they differ
    for i, trace in enumerate(drawn):
        layer, head = divmod(i, cfg.n_heads)
        expected = cache[f"blocks.{layer}.attn.hook_pattern"][:, head, -1, 0].view(n, n).numpy()
        np.testing.assert_allclose(trace.z, expected, atol=1e-6)
        assert f"a {expected.mean():.2f}, " in figure.takeaway
        assert f"between {expected.min():.2f} and {expected.max():.2f} in {titles(figure)[i]}" in figure.texts[-1]
    if shape == "pizza":
        assert "attention rate is 0.3" in figure.how


def test_logit_map_is_the_handmade_clock(run):
    from interp.sections import logits

    profile, image, coefficients = of_kind(logits.build(run), "Figure")
    L = 100.0 * handmade_logits(P, list(KEYS)).view(P, P, P)  # output scale 100 at the last step
    L = L - L.mean(dim=-1, keepdim=True)
    expected = [
        float(torch.stack([L[a, b, (a + b + d) % P] for a in range(P) for b in range(P)]).mean()) for d in range(P)
    ]
    np.testing.assert_allclose(profile.at(run.steps[-1]).data[0].y, expected, rtol=1e-4, atol=1e-3)
    grid = image.at(run.steps[-1]).data[0].z
    by_answer = torch.stack([torch.stack([L[a, (t - a) % P] for a in range(P)]).mean(dim=0) for t in range(P)]).numpy()
    np.testing.assert_allclose(grid, by_answer, rtol=1e-4, atol=1e-2)
    last = {t.name: t.y[-1] for t in coefficients.fig.data if t.name.startswith("k = ")}
    assert set(last) == {f"k = {k}" for k in KEYS} and min(last.values()) > 1000
    for name, value in last.items():
        said = re.search(rf"([\d,.]+) at {name}\b", coefficients.texts[-1])
        assert said is not None and float(said[1].replace(",", "")) == pytest.approx(value, rel=5e-3)
    assert coefficients.texts[0] != coefficients.texts[-1].replace(f"{run.steps[-1]:,}", "0")  # the control


@pytest.mark.parametrize("name", ["neurons", "attention", "logits"])
@pytest.mark.parametrize("shape", ["polynomial", "group", "mlp", "norm", "two"])
def test_runs_that_they_do_not_fit_say_why(tmp_path, shape, name):
    import importlib

    run = random_run(tmp_path, **SHAPES[shape])
    blocks: Any = importlib.import_module(f"interp.sections.{name}").build(run)
    texts = " ".join(block.markdown for block in of_kind(blocks, "Text"))
    says = {
        ("mlp", "attention"): "no attention",
        ("two", "neurons"): "models of one layer",
        ("polynomial", "logits"): "x2_y2",
        ("group", "logits"): "S3",
        ("group", "neurons"): "S3",
    }
    assert says.get((shape, name), "") in texts
    assert blocks


def test_images_are_as_few_as_fit(run):
    from interp.story.keysteps import IMAGE_BYTES, image_steps

    steps = list(range(100))
    log = run.evaluations.reindex([0])
    for n, images, most in ((113, 4, 12), (113, 1, 12), (500, 4, 12), (11, 4, 12)):
        found = image_steps(log, steps, n, images)
        assert 2 <= len(found) <= most and found[-1] == 99
        assert len(found) == 2 or len(found) * images * n * n * 4 / 3 <= IMAGE_BYTES
    assert len(image_steps(log, steps, 11, 1)) > 8
