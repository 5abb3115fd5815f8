"""Every measure against the plain definitions of ``oracles.measures``, on operations and models of every kind."""

import math

import numpy as np
import pytest
import torch
from oracles.handmade import handmade_run
from oracles.measures import STABLE, Direct
from oracles.runs import SHAPES, random_run

WITH_LAW = ["add", "add-even", "sub", "mul", "div", "compose", "pizza", "two", "mlp"]
FLOAT32 = 2e-4
"""Activations are float32 sums over up to 24 terms, taken in another order than the oracle's."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``runs(name)``: the random run of a shape."""
    root = tmp_path_factory.mktemp("random")
    made = {}

    def get(name):
        if name not in made:
            made[name] = random_run(root / name, **SHAPES[name])
        return made[name]

    return get


def check(found, expected, name):
    if isinstance(expected, dict):
        assert set(found) == set(expected), name
        for k, value in expected.items():
            assert found[k] == pytest.approx(value, rel=FLOAT32, abs=FLOAT32), (name, k)
    else:
        assert found == pytest.approx(expected, rel=FLOAT32, abs=FLOAT32), name


@pytest.mark.parametrize("shape", WITH_LAW)
def test_stable_measures_are_their_definitions(runs, shape):
    from interp import open_run
    from interp.measures import measure_snapshot

    keys = [3, 1]
    run = open_run(runs(shape).path, key_freqs=keys)
    snap = run[0]
    expected = Direct(snap, keys).stable()
    found = measure_snapshot(snap, STABLE)
    for name in STABLE:
        if name in expected:
            check(found[name], expected[name], name)
        else:
            assert name == "gradient_symmetricity" and shape in ("sub", "div")
            assert "in a sum only, not in a difference" in found[name].reason
    if "gradient_symmetricity" in expected:
        assert abs(found["gradient_symmetricity"]) > 1e-3
    other = measure_snapshot(run[10], STABLE)  # the control: another snapshot's numbers are other ones
    assert all(other[n] != found[n] for n in ("train_loss", "logit_fve", "excluded_loss_neuron_train", "circularity"))


def test_key_frequencies_are_those_with_a_hundredth_of_the_last_logits_energy(tmp_path):
    from interp import open_run
    from interp.parts.keyfreqs import key_freqs_of

    run = open_run(handmade_run(tmp_path, p=23, keys=(3, 5, 9)))
    weights = {name: t.clone() for name, t in run.weights(run.last.step).items()}
    for i, size in enumerate((0.5, 1.0, 0.08)):  # shares of the logits' energy as the squares
        weights["unembed.W_U"][4 * i + 2 : 4 * i + 4] *= size
    run.store.save_snapshot(20_000, weights)
    run = open_run(run.path)
    cosines = Direct(run.last, []).cosines()
    assert 0.001 < cosines[9] ** 2 < 0.01
    assert key_freqs_of(run).ks == (5, 3)
    assert key_freqs_of(run).origin == "at least 1\u00a0% of the centred logits' energy at step 20,000"
    assert key_freqs_of(open_run(run.path, key_freqs=[9])).origin == "given"


def test_given_key_frequencies_are_used_by_every_measure_of_them(runs):
    from interp import open_run
    from interp.measures import measure_snapshot
    from train.errors import UsageError

    run = open_run(runs("add").path, key_freqs=[2])
    found = measure_snapshot(run[0], ["key_freqs", "excluded_loss_logit2d_train", "logit_fve"])
    direct = Direct(run[0], [2])
    check(found["excluded_loss_logit2d_train"], direct.excluded_2d([2]), "excluded")
    check(found["logit_fve"], direct.cosines()[2] ** 2, "fve")
    assert list(found["key_freqs"]) == [2]
    with pytest.raises(UsageError, match="key frequency 6 is out of range; it must be from 1 to 5"):
        measure_snapshot(open_run(runs("add").path, key_freqs=[6])[0], ["key_freqs"])


def test_handmade_model_gives_exact_answers(tmp_path):
    from interp import open_run
    from interp.measures import measure_snapshot

    p, keys = 23, (3, 5, 9)
    run = open_run(handmade_run(tmp_path, p=p, keys=keys))
    found = measure_snapshot(run.last)
    assert sorted(found["key_freqs"]) == list(keys)
    for rule in ("nanda", "nanda_code", "tl_demo", "reptheory"):
        assert sorted(found[f"key_freqs_{rule}"]) == list(keys), rule
    assert found["neuron_clusters"] == dict.fromkeys(keys, 32.0)  # 16 phases, two signs
    assert found["W_L_energy"] == pytest.approx({k: 1 / 3 if k in keys else 0.0 for k in range(1, 12)}, abs=1e-6)
    assert found["restricted_acc_logit2d_all"] == 1
    # the readout writes at the key frequencies alone, so without them only the skip connection, which is 0, is left
    assert found["excluded_loss_logit3d_train"] > found["train_loss"]
    assert found["test_acc"] == 1
    assert found["junk_share"] == pytest.approx(0, abs=1e-9)  # the readout has mean 0
    flat = measure_snapshot(run[0])  # output scale 0: every logit is 0
    assert flat["all_loss"] == pytest.approx(math.log(p))
    assert flat["restricted_loss_logit2d_all"] == pytest.approx(math.log(p))
    assert flat["logit_fve"] == 0


def test_last_frequency_is_found_and_published_code_passes_it_over(tmp_path):
    """The last frequency, k = (p-1)/2, is found; Nanda et al.'s calculate_key_freqs skips it."""
    from interp import open_run
    from interp.measures import measure_snapshot

    run = open_run(handmade_run(tmp_path, p=23, keys=(4, 11)))
    names = ["key_freqs", "key_freqs_nanda", "key_freqs_nanda_code"]
    found = measure_snapshot(run.last, names)
    assert sorted(found["key_freqs"]) == sorted(found["key_freqs_nanda"]) == [4, 11]
    assert 11 not in found["key_freqs_nanda_code"]


@pytest.mark.parametrize("shape", ["add", "mul", "pizza"])
def test_clock_junk_and_defect_are_the_least_squares_parts(runs, shape):
    from interp.measures import measure_snapshot

    snap = runs(shape)[0]
    direct = Direct(snap, [1])
    n, L = direct.n, direct.L[:, direct.order]
    d = (np.arange(n)[None] - direct.t[:, None]) % n
    junk = L.mean(axis=1, keepdims=True) + 0 * L
    g = [float((L - junk)[d == i].mean()) for i in range(n)]
    clock = np.array(g)[d]
    defect = L - junk - clock
    names = "junk_share clock_share defect_share clock_margin certified_share composition_defect shift_defect".split()
    found = measure_snapshot(snap, [*names, "logit_fve_all"])
    total = (L**2).sum()
    check(found["junk_share"], (junk**2).sum() / total, "junk")
    check(found["clock_share"], (clock**2).sum() / total, "clock")
    check(found["defect_share"], (defect**2).sum() / total, "defect")
    margin = g[0] - max(g[1:])
    check(found["clock_margin"], margin, "margin")
    check(found["certified_share"], float((margin > 2 * abs(defect).max(axis=1)).mean()), "certified")
    check(found["logit_fve_all"], sum(c**2 for c in direct.cosines().values()), "all")
    means = np.array([(L - junk)[direct.t == t].mean(axis=0) for t in range(n)])
    check(found["composition_defect"], abs(L - junk - means[direct.t]).max(), "composition")
    check(found["shift_defect"], max(abs(means[t][(t + i) % n] - g[i]) for t in range(n) for i in range(n)), "shift")


@pytest.mark.parametrize("shape", ["pizza", "add"])
def test_circles_alone_are_the_models_logits_with_two_components_left(tmp_path, shape):
    """Scores of circles equal direct ones on a random run whose embedding is given two exact circles."""
    from interp.measures import measure_snapshot
    from interp.measures.circles import circle_planes
    from interp.runs.run import Run

    run = with_circles(random_run(tmp_path, **SHAPES[shape]))
    snap = run[20]
    planes = circle_planes(snap)
    assert {k: planes[k] for k in (2, 3)} == {2: (0, 1), 3: (2, 3)}
    found = measure_snapshot(snap)
    assert found["circularity"] > 0.99 > measure_snapshot(run[0], ["circularity"])["circularity"]
    direct = Direct(snap, [2])
    for k, first in ((2, 0), (3, 2)):
        for form, value in direct.circle_fve(first, k).items():
            check(found[f"circle_{form}_fve"][k], value, form)
    assert isinstance(run, Run)


def with_circles(run):
    """The run with one more snapshot, step 20, whose embedding has a large circle of k = 2 and a smaller one of 3."""
    from interp import open_run

    weights, p = run.weights(0), run.task.table.n
    angle = 2 * math.pi * torch.arange(p) / p
    W_E = weights["embed.W_E"].clone()
    W_E[:p] *= 0.01
    for i, (k, size) in enumerate(((2, 4.0), (3, 2.0))):
        W_E[:p, 2 * i] += size * (k * angle).cos()
        W_E[:p, 2 * i + 1] += size * (k * angle).sin()
    run.store.save_snapshot(20, weights | {"embed.W_E": W_E})
    return open_run(run.path)
