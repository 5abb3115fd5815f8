"""Neurons, attention and the logit map in the report, on the hand-made run, other runs, and in a browser."""

import json
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
        drawn = images.at(run.steps[-1]).data[i].z
        np.testing.assert_allclose(drawn, (expected / expected.max()).numpy(), atol=1e-5)
        assert np.abs(drawn - expected.numpy()).max() > 0.4  # the control: activations reach 2, shares 1
        assert f"neuron {neuron} {float(expected.max()):.3g}" in images.texts[-1]


def test_clusters_without_an_image_are_counted(tmp_path, run):
    from interp import open_run
    from interp.sections import neurons

    takeaway = of_kind(neurons.build(run), "Figure")[2].takeaway
    assert "left out" not in takeaway  # the control: three clusters
    many = open_run(handmade_run(tmp_path, P, (1, 2, 3, 5, 7, 9, 11), scales=(0.0, 1.0)))
    images = of_kind(neurons.build(many), "Figure")[2]
    assert len(images.fig.data) == neurons.N_CLUSTERS == 6
    assert "1 smaller cluster is left out." in images.takeaway


@pytest.mark.parametrize(
    "shape", ["add", "pizza", "mlp", "gelu", "gelu_new", "silu", "tanh", "square", "two vocabularies", "div"]
)
def test_arrays_of_the_page_make_every_neuron(tmp_path, shape):
    """The arrays of the page give every neuron's activations by the formula of page/neuron.js, here in numpy."""
    from interp.parts.activations import neurons_of
    from interp.parts.neuron_weights import neuron_arrays

    more: dict[str, Any] = {
        **{act_fn: {**SHAPES["add"], "act_fn": act_fn, "biases": "all"} for act_fn in ("gelu", "gelu_new", "silu")},
        **{act_fn: {**SHAPES["pizza"], "act_fn": act_fn} for act_fn in ("tanh", "square")},
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
    x = {name: array.astype(float) for name, array in arrays.items()}
    kinds, first, n = arrays["kinds"].astype(int), arrays["first"].astype(int), int(arrays["n"][0])
    column = x["W_in"][:, neuron]
    z = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            tokens = [first[j] + (0, a, b)[kind] for j, kind in enumerate(kinds)]
            if "E" in x:
                into = x["E"][tokens].ravel()
            else:
                query = b if x["q"].shape[1] > 1 else 0
                scores = np.einsum("he,hje->hj", x["q"][:, query], x["k_token"][:, tokens] + x["k_place"])
                odds = np.exp(scores - scores.max(axis=1, keepdims=True))
                pattern = x["rate"][0] * odds / odds.sum(axis=1, keepdims=True) + 1 - x["rate"][0]
                values = x["v_token"][:, tokens] + x["v_place"]
                into = x["resid"][query] + np.einsum("hj,hje,hed->d", pattern, values, x["W_O"])
            z[a, b] = into @ column + x["b_in"][neuron]
    F, name = torch.nn.functional, ("relu", "gelu", "gelu_new", "silu", "tanh", "square")[int(arrays["activation"][0])]
    if name == "gelu_new":
        return F.gelu(torch.from_numpy(z), approximate="tanh").numpy()
    return z**2 if name == "square" else getattr(F, name)(torch.from_numpy(z)).numpy()


def test_the_page_computes_any_neuron(tmp_path, run):
    """The browser draws any neuron with the model's own activations, and corrects a number out of range."""
    from browser import launched, opened_in, wait_until

    from interp.html.page import Page, PageSection, render_page
    from interp.parts.activations import neurons_of
    from interp.sections import neurons

    others = ("gelu", "gelu_new", "silu", "tanh", "square")
    runs = [random_run(tmp_path / act_fn, **{**SHAPES["pizza"], "act_fn": act_fn}) for act_fn in others]
    runs.append(random_run(tmp_path, **SHAPES["mlp"]))
    with launched() as browser:
        for i, (some, neuron) in enumerate(((run, 37), *((other, 11) for other in runs))):
            page = PageSection("neurons", "Neurons", [of_kind(neurons.build(some), "Figure")[-1]])
            labels = ("",) * len(some.steps)
            (tmp_path / f"{i}.html").write_text(render_page(Page("t", "s", [page], {}, tuple(some.steps), labels)))
            every = neurons_of(some.last).numpy()
            n = math.isqrt(len(every))
            with opened_in(browser, tmp_path / f"{i}.html") as opened:
                choice, said = opened.page.locator("input.choice"), opened.page.locator(".step-text")
                for typed, meant in ((str(neuron), neuron), ("100000", every.shape[1] - 1)):
                    choice.fill(typed)
                    choice.blur()
                    begun = f"document.querySelector('.step-text').textContent.startsWith('Neuron {meant}:')"
                    wait_until(opened.page, begun)
                    shown = np.array(opened.page.evaluate("document.querySelector('.plot').data[0].z"))
                    want, other = (every[:, x].reshape(n, n) for x in (meant, 0))
                    atol = 32 * np.finfo(np.float32).eps * np.abs(every).max()  # sums of d_model <= 16 terms, twice
                    np.testing.assert_allclose(shown, want, rtol=0, atol=atol)
                    assert np.abs(shown - other).max() > 1e3 * atol  # the control
                    assert choice.input_value() == str(meant)
                    assert f"at most {want.max():.3f}" in said.inner_text()
                assert opened.problems == [] and opened.requests == []


@pytest.mark.parametrize("shape", ["add", "pizza", "mlp"])
def test_any_neuron_fits_a_page_at_the_standard_size(tmp_path, shape):
    from interp.html.computed import Computed
    from interp.parts.neuron_weights import neuron_arrays
    from interp.sections.neurons import MAX_BYTES

    standard = {"p": 113, "d_model": 128, "n_heads": 4, "d_mlp": 512}
    run = random_run(tmp_path, **{**SHAPES[shape], **standard})
    computed = Computed("neuron", neuron_arrays(run.last), "Neuron", 0, 511, 0)
    assert computed.n_bytes < MAX_BYTES
    assert len(json.dumps(computed.data())) == pytest.approx(computed.n_bytes, rel=0.01)


def test_attention_is_even_in_the_handmade_model(run):
    from interp.sections import attention

    (figure,) = of_kind(attention.build(run), "Figure")
    for trace in figure.at(run.steps[-1]).data:
        np.testing.assert_allclose(trace.z, 1 / 3, atol=1e-6)
    said = "every head: a 0.33, b 0.33, '=' 0.33. Attention to a is 0.33 for every pair."
    assert said in figure.takeaway


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
        said = figure.texts[-1].split("pairs: ")[1].rstrip(".").split("; ")[i]
        assert said.endswith(f"from {expected.min():.2f} to {expected.max():.2f}")
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
    for name, value in last.items():
        said = coefficients.texts[-1].split(f"{name}: ")[1].split(";")[0].rstrip(".").replace(",", "")
        assert float(said) == pytest.approx(value, rel=5e-3)
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
        ("two", "neurons"): "one-layer models",
        ("norm", "neurons"): "layer norm",
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


def test_a_coarse_track_travels_in_bytes():
    import base64

    from interp.html.tracks import packed

    values = np.linspace(-1, 3, 50).reshape(5, 10)
    fine, coarse = packed(values, False), packed(values, False, coarse=True)
    assert (fine["dtype"], coarse["dtype"]) == ("u2", "u1")
    codes = np.frombuffer(base64.b64decode(coarse["b64"]), np.uint8)
    back = coarse["lo"] + (coarse["hi"] - coarse["lo"]) * codes / 254
    assert np.abs(back - values.ravel()).max() <= 4 / 254 / 2 + 1e-12
