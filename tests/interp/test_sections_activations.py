"""Neurons, attention and the logit map in the report: on the hand-made run, others, and in a browser."""

import math
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

    clusters, scatter, images, _ = of_kind(neurons.build(run), "Figure")
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
        np.testing.assert_allclose(images.at(run.steps[-1]).data[i].z, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", ["add", "pizza", "mlp", "gelu", "two vocabularies", "div"])
def test_arrays_of_the_page_make_every_neuron(tmp_path, shape):
    """The formula of page/neuron.js in numpy, against the model's own activations."""
    from interp.neurons import neuron_arrays
    from interp.parts import neurons_of

    more: dict[str, Any] = {
        "gelu": {**SHAPES["add"], "act_fn": "gelu", "biases": "all"},
        "two vocabularies": {**SHAPES["pizza"], "shared_vocabulary": False},
    }
    snap = random_run(tmp_path, **more.get(shape, SHAPES.get(shape, {}))).last
    expected = neurons_of(snap).double().numpy()
    n = math.isqrt(len(snap.task.pairs))
    for neuron in (0, 7, 23):
        found = in_numpy(neuron_arrays(snap), neuron)
        np.testing.assert_allclose(found.ravel(), expected[:, neuron], rtol=1e-4, atol=1e-4)
    assert np.abs(in_numpy(neuron_arrays(snap), 1).ravel() - expected[:, 0]).max() > 1e-2  # the control
    assert n**2 == len(expected)


def in_numpy(arrays, neuron):
    kinds, offsets = arrays["kinds"].astype(int), arrays["offsets"].astype(int)
    n = int(arrays["is_gelu"][1])
    column = arrays["W_in"][:, neuron].astype(float)
    read = arrays["v"] @ arrays["W_O"] @ column  # [heads, entries]
    straight = arrays["resid"] @ column
    z = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            at = [offsets[j] + (0, a, b)[kind] for j, kind in enumerate(kinds)]
            scores = arrays["scores"][:, b if arrays["scores"].shape[1] > 1 else 0][:, at]
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            pattern = arrays["rate"][0] * odds / odds.sum(axis=1, keepdims=True) + 1 - arrays["rate"][0]
            z[a, b] = (pattern * read[:, at]).sum() + straight[b if len(straight) > 1 else 0] + arrays["b_in"][neuron]
    if arrays["is_gelu"][0]:
        return torch.nn.functional.gelu(torch.from_numpy(z)).numpy()
    return np.maximum(z, 0)


def test_the_page_computes_any_neuron(tmp_path, run):
    """In a browser: numbers of the picture against the model's activations; a number out of range is put right."""
    from browser import launched, opened_in

    from interp.html import PageSection, render_page, write_page
    from interp.parts import neurons_of
    from interp.sections import neurons

    gelu = random_run(tmp_path, **{**SHAPES["pizza"], "act_fn": "gelu"})
    for i, some in enumerate((run, gelu)):
        block = of_kind(neurons.build(some), "Figure")[-1]
        page = PageSection("neurons", "Neurons", [block])
        write_page(
            tmp_path / f"{i}.html", render_page("t", "s", [page], tuple(some.steps), ("",) * len(some.steps), {})
        )
    expected = {0: neurons_of(run.last).numpy(), 1: neurons_of(gelu.last).numpy()}
    with launched() as browser:
        for i, neuron in ((0, 37), (1, 11)):
            with opened_in(browser, tmp_path / f"{i}.html") as opened:
                choice = opened.page.locator("input.choice")
                choice.fill(str(neuron))
                choice.blur()
                opened.page.wait_for_timeout(300)
                shown = opened.page.evaluate("document.querySelector('.plot').data[0].z")
                n = len(shown)
                want = expected[i][:, neuron].reshape(n, n)
                np.testing.assert_allclose(shown, want, rtol=1e-4, atol=1e-4)
                assert np.abs(np.array(shown) - expected[i][:, 0].reshape(n, n)).max() > 0.01
                assert f"Neuron {neuron}:" in opened.page.locator(".step-text").inner_text()
                choice.fill("100000")
                choice.blur()
                opened.page.wait_for_timeout(300)
                assert choice.input_value() == str(expected[i].shape[1] - 1)
                assert opened.problems == [] and opened.requests == []


def test_attention_is_even_in_the_handmade_model(run):
    from interp.sections import attention

    (figure,) = of_kind(attention.build(run), "Figure")
    for trace in figure.at(run.steps[-1]).data:
        np.testing.assert_allclose(trace.z, 1 / 3, atol=1e-6)
    assert "head 2 0.33, 0.33, 0.33" in figure.takeaway


@pytest.mark.parametrize("shape", ["add", "two", "pizza"])
def test_attention_is_the_pattern_at_the_answer(tmp_path, shape):
    from interp.sections import attention

    run = random_run(tmp_path, **SHAPES[shape])
    (figure,) = of_kind(attention.build(run), "Figure")
    _, cache = run.last.run_with_cache()
    n, cfg = math.isqrt(len(run.task.pairs)), run.last.model.cfg
    drawn = list(figure.at(run.steps[-1]).data)
    assert len(drawn) == cfg.n_layers * cfg.n_heads
    for i, trace in enumerate(drawn):
        layer, head = divmod(i, cfg.n_heads)
        expected = cache[f"blocks.{layer}.attn.hook_pattern"][:, head, -1, 0].view(n, n).numpy()
        np.testing.assert_allclose(trace.z, expected, atol=1e-6)
    if shape == "pizza":
        assert "attention rate is 0.3" in figure.takeaway


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


@pytest.mark.parametrize("name", ["neurons", "attention", "logits"])
@pytest.mark.parametrize("shape", ["polynomial", "group", "mlp", "norm", "two"])
def test_runs_that_they_do_not_fit_say_why(tmp_path, shape, name):
    import importlib

    run = random_run(tmp_path, **SHAPES[shape])
    blocks: Any = importlib.import_module(f"interp.sections.{name}").build(run)
    texts = " ".join(block.markdown for block in of_kind(blocks, "Text"))
    says = {
        ("mlp", "attention"): "no attention",
        ("two", "neurons"): "one-layer models",
        ("norm", "neurons"): "layer norm",
        ("polynomial", "logits"): "x2_y2",
        ("group", "logits"): "S3",
        ("group", "neurons"): "S3",
    }
    assert says.get((shape, name), "") in texts
    assert blocks


def test_images_are_as_few_as_fit(run):
    from interp.keysteps import IMAGE_BYTES, image_steps

    steps = list(range(100))
    log = run.evaluations.reindex([0])
    for n, images, most in ((113, 4, 12), (113, 1, 12), (500, 4, 12), (11, 4, 12)):
        found = image_steps(log, steps, n, images)
        assert 2 <= len(found) <= most and found[-1] == 99
        assert len(found) == 2 or len(found) * images * n * n * 4 / 3 <= IMAGE_BYTES
    assert len(image_steps(log, steps, 11, 1)) > 8


def test_a_coarse_track_travels_in_bytes():
    import base64

    from interp.tracks import packed

    values = np.linspace(-1, 3, 50).reshape(5, 10)
    fine, coarse = packed(values, False), packed(values, False, coarse=True)
    assert (fine["dtype"], coarse["dtype"]) == ("u2", "u1")
    codes = np.frombuffer(base64.b64decode(coarse["b64"]), np.uint8)
    back = coarse["lo"] + (coarse["hi"] - coarse["lo"]) * codes / 254
    assert np.abs(back - values.ravel()).max() <= 4 / 254 / 2 + 1e-12
