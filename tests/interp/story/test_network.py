"""What a page gets to compute a run's network: sizes, clusters, and where some of it is left out."""

import math

import numpy as np
import pytest
import torch
from oracles.handmade import handmade_run
from oracles.runs import SHAPES, random_run

P, KEYS = 23, (3, 5, 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), P, KEYS))


def test_clusters_are_the_handmade_ones_in_the_order_of_their_phase(run):
    """Neuron relu(sign (cos(wa + f) + cos(wb + f))) peaks where wa = -f, or half a turn on for the negative sign."""
    from interp.story.network import computed_of

    clusters = computed_of(run).options["clusters"]
    assert {cluster["name"] for cluster in clusters} == {f"frequency {k}" for k in KEYS}
    for cluster in clusters:
        i = KEYS.index(cluster["k"])
        assert sorted(cluster["neurons"]) == list(range(32 * i, 32 * i + 32))
        place = np.array(cluster["neurons"]) % 32
        f = math.pi * (place // 2) / 16 + math.pi * (place % 2)
        peaks = np.angle(np.exp(-1j * f))
        assert (np.diff(peaks) > -1e-6).sum() >= 30  # all but where the angle of half a turn is -pi or pi
        assert (np.diff(f) > 0).sum() < 20  # control: not in the order of their numbers


def test_irreps_of_a_neuron_are_those_of_chughtais_measures(tmp_path):
    """Weighted by the neurons' variances, the shares add up to the three measures over all neurons."""
    from interp.measures import measure_snapshot
    from interp.parts.activations import neurons_of
    from interp.parts.clusters import unit_fve

    snap = random_run(tmp_path, op="compose", group="S4", outputs="answers").last
    names, fve = unit_fve(snap)
    variance = neurons_of(snap).double().var(dim=0, correction=0)
    found = (fve * variance).sum(dim=1) / variance.sum()
    measures = [f"irrep_neuron_{which}_fve" for which in ("a", "b", "ab")]
    values = measure_snapshot(snap, measures)
    for name, share in zip(names, found.tolist(), strict=True):
        assert share == pytest.approx(sum(values[measure][name] for measure in measures), rel=1e-4)
    assert len(set(map(float, found))) == len(names)  # control: they differ


@pytest.mark.parametrize("shape", ["add", "pizza", "norm", "mlp"])
def test_three_steps_of_the_standard_size_fit_a_page(tmp_path, shape):
    from interp.html.widgets import Widget
    from interp.parts.network import MOST_BYTES, n_bytes, network_of
    from tests.scripted import pooled

    standard = {"p": 113, "d_model": 128, "n_heads": 4, "d_mlp": 512}
    fields = {**SHAPES[shape], **standard}
    run = random_run(tmp_path, steps=(0, 10, 20), scale=0.3, **fields)
    network = network_of(run, run.steps)
    assert network.precision == "float16" and n_bytes(network) <= MOST_BYTES == 1_900_000
    widget = Widget("x", "", "", "", "", "x", "", network.arrays)
    pool, _ = pooled([widget, widget])  # what two widgets share travels once
    assert sum(len(entry["b64"]) for entry in pool.values()) == n_bytes(network) == widget.n_bytes


def test_steps_that_do_not_fit_are_left_out_the_last_one_last(tmp_path, monkeypatch):
    from oracles.eight import grokked

    from interp.parts.memo import NotApplicable
    from interp.parts.network import n_bytes, network_of
    from interp.story import network

    run = grokked(tmp_path)
    one = n_bytes(network_of(run, [10_000]))
    for most, expected in ((10 * one, [10, 10_000]), (1.5 * one, [10_000])):
        monkeypatch.setattr(network, "MOST_BYTES", most)
        run.kept.clear()
        assert [stage.step for stage in network.computed_of(run).stages] == expected
    monkeypatch.setattr(network, "MOST_BYTES", 0.5 * one)
    run.kept.clear()
    with pytest.raises(NotApplicable, match="the weights of one snapshot would add 0.0 MB to this page"):
        network.computed_of(run)


def test_a_table_of_many_elements_is_refused(tmp_path):
    from interp.parts.memo import NotApplicable
    from interp.parts.network import network_of

    with pytest.raises(NotApplicable, match="at most 256 elements, not 257"):
        network_of(random_run(tmp_path, p=257, d_model=4, d_mlp=4), [10])


def test_the_pair_shown_first_is_a_test_pair(tmp_path):
    from interp.story.network import computed_of

    for name in ("add", "div", "group"):
        run = random_run(tmp_path / name, **SHAPES[name])
        a, b = computed_of(run).options["start"]
        row = a * run.task.table.n + b
        assert bool(run.task.is_defined[row]) and not bool(run.task.is_train[row])
        train = np.unpackbits(computed_of(run).arrays["train"])[: len(run.task.pairs)]
        assert torch.equal(torch.from_numpy(train).bool(), run.task.is_train)


def test_a_widget_refuses_what_a_page_cannot_hold():
    from interp.html.widgets import Widget

    with pytest.raises(ValueError, match="widget 'x': big is float64; a page holds float16, float32"):
        Widget("x", "", "", "", "", "x", "", {"big": np.zeros(3)})
    with pytest.raises(ValueError, match="id 'a b'"):
        Widget("a b", "", "", "", "", "x", "")
