"""The measures that each kind of run has, the registry, and the measures without a stable name."""

import math

import numpy as np
import pytest
from oracles.measures import Direct
from oracles.runs import SHAPES, random_run

ALWAYS = {"train_loss", "test_acc", "all_loss", "total_norm", "margin_min"}
OF_LAW = {"key_freqs", "logit_cos", "restricted_loss_logit2d_all", "neuron_clusters", "distance_irrelevance"}
OF_CYCLE = {"W_E_energy", "gini_W_E", "circularity"}
OF_GROUP = {"irrep_logit_cos", "restricted_loss_irrep_hidden_all", "irrep_W_E_energy"}


@pytest.fixture
def values(tmp_path):
    """``values(shape, **more)``: measures of the last snapshot of a random run, with key frequency 1."""

    def get(shape, **more):
        from interp import open_run
        from interp.measures import measure_snapshot

        run = open_run(random_run(tmp_path, **{**SHAPES[shape], **more}).path, key_freqs=[1])
        return run, measure_snapshot(run.last)

    return get


def absent(found):
    from interp.parts.memo import Unavailable

    return {name: value.reason for name, value in found.items() if isinstance(value, Unavailable)}


@pytest.mark.parametrize(
    ("shape", "there", "missing", "reason"),
    [
        ("add", ALWAYS | OF_LAW | OF_CYCLE | OF_GROUP, set(), ""),
        ("mul", ALWAYS | OF_LAW | OF_CYCLE | OF_GROUP, set(), ""),
        ("polynomial", ALWAYS | OF_CYCLE, OF_LAW | OF_GROUP, "x2_y2"),
        ("group", ALWAYS | OF_GROUP - {"restricted_loss_irrep_hidden_all"}, OF_LAW | OF_CYCLE, "S3 is not cyclic"),
        ("norm", ALWAYS | OF_LAW - {"x"} | OF_CYCLE, {"restricted_loss_neuron_all", "W_L_energy"}, "layer norm"),
        ("mlp", ALWAYS | OF_LAW | OF_CYCLE, {"attention_energy", "W_neur_energy"}, "an MLP has no attention"),
        ("two", ALWAYS | OF_LAW | OF_CYCLE, {"attention_energy"}, "one layer"),
        ("div", ALWAYS | OF_LAW | OF_CYCLE, {"gradient_symmetricity", "circle_clock_fve"}, "quotient|sum"),
        ("pizza", ALWAYS | OF_LAW | OF_CYCLE, {"attention_energy"}, "operand"),
    ],
)
def test_measures_that_do_not_apply_are_absent_with_the_reason(values, shape, there, missing, reason):
    import re

    _, found = values(shape)
    gone = absent(found)
    assert not there & set(gone), {name: gone[name] for name in there & set(gone)}
    assert missing <= set(gone)
    for name in missing - OF_GROUP if shape != "polynomial" else missing:
        assert re.search(reason, gone[name]), (name, gone[name])


def test_no_measure_is_silently_wrong_where_nothing_is_known_of_the_operation(values):
    """For x^2 + y^2 only the measures that need no group law are defined."""
    _, found = values("polynomial")
    there = set(found) - set(absent(found))
    assert not [name for name in there if "restricted" in name or "excluded" in name or "logit" in name]


def test_spectra_of_attention_and_of_neurons_inputs(values):
    run, found = values("add")
    direct, w = Direct(run.last, [1]), {n: t.double().numpy() for n, t in run.weights(run.last.step).items()}
    r = w["embed.W_E"][11] + w["pos_embed.W_pos"][2]
    heads = range(w["blocks.0.attn.W_Q"].shape[0])
    C = np.stack([direct.W_E @ w["blocks.0.attn.W_K"][h] @ w["blocks.0.attn.W_Q"][h].T @ r for h in heads], axis=1)
    assert found["attention_energy"] == pytest.approx(direct.energy(C))
    OV = sum(w["blocks.0.attn.W_V"][h] @ w["blocks.0.attn.W_O"][h] for h in heads)
    assert found["W_neur_energy"] == pytest.approx(direct.energy(direct.W_E @ OV @ w["blocks.0.mlp.W_in"]))
    assert found["W_U_energy"] == pytest.approx(direct.energy(direct.W_U.T))
    assert found["gini_W_U"] == pytest.approx(direct.gini(direct.W_U.T))
    share = np.array(list(direct.energy(direct.W_E).values()))
    assert found["participation_ratio_W_E"] == pytest.approx(share.sum() ** 2 / (share**2).sum())
    q = share / share.sum()
    assert found["spectral_entropy_W_E"] == pytest.approx(-(q * np.log(q)).sum())


def test_rules_for_key_frequencies(values):
    run, found = values("add", p=17, d_mlp=40)
    direct = Direct(run.last, [1])
    fve, cosines = direct.fve(), direct.cosines()
    live = fve[:, fve.sum(axis=0) > 0]
    top = np.sort(live, axis=0)
    assert (top[-1] - top[-2] > 1e-4).all()  # no neuron is torn between two frequencies
    assert live.shape[1] < 40  # dead ones count for none
    best = live.argmax(axis=0) + 1
    assert found["key_freqs_nanda"] == {k: float((best == k).sum()) for k in sorted(set(best.tolist()))}
    best = live[:-1].argmax(axis=0) + 1
    assert found["key_freqs_nanda_code"] == {k: float((best == k).sum()) for k in sorted(set(best.tolist()))}
    assert set(found["key_freqs_reptheory"]) == {k for k, cos in cosines.items() if cos > 0.005}
    assert found["neuron_fve_median"] == pytest.approx(np.median(fve.max(axis=0)), abs=1e-4)
    assert sum(found["key_freqs_pizza"].values()) == 8
    assert set(found["key_freqs_tl_demo"]) <= set(found["key_freqs_nanda"])


def test_margins(values):
    run, found = values("add")
    direct = Direct(run.last, [1])
    rows = np.arange(len(direct.labels))
    right, rest = direct.whole[rows, direct.labels], direct.whole.copy()
    rest[rows, direct.labels] = -np.inf
    margins = right - rest.max(axis=1)
    assert found["margin_min"] == pytest.approx(margins.min(), abs=1e-4)
    assert found["margin_mean"] == pytest.approx(margins.mean(), abs=1e-4)


def test_a_dead_neuron_has_no_frequency(tmp_path):
    from interp import open_run
    from interp.measures import measure_snapshot

    run = random_run(tmp_path, **SHAPES["add"])
    weights = {name: t.clone() for name, t in run.weights(0).items()}
    weights["blocks.0.mlp.W_in"][:, :3] = 0
    weights["blocks.0.mlp.b_in"][:3] = -1
    run.store.save_snapshot(20, weights)
    found = measure_snapshot(open_run(run.path)[20], ["dead_neuron_share", "key_freqs_nanda", "neuron_fve_median"])
    assert found["dead_neuron_share"] >= 3 / 24
    assert sum(found["key_freqs_nanda"].values()) == round(24 * (1 - found["dead_neuron_share"]))
    assert math.isfinite(found["neuron_fve_median"])


def test_a_split_with_no_test_rows_is_no_number(tmp_path):
    from interp.measures import measure_snapshot

    run = random_run(tmp_path, op="add", p=5, train_frac=0.999)
    assert run.task.is_train is not None
    run.task.is_train[:] = True
    found = measure_snapshot(run.last, ["train_loss", "test_loss"])
    assert isinstance(found["train_loss"], float)
    assert found["test_loss"].reason == "there are no test rows"


def test_every_family_is_listed_and_every_measure_says_what_it_is():
    from pathlib import Path

    import interp.measures as measures

    folder = Path(measures.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__", "registry"}
    assert files == set(measures.FAMILIES), "name every family in FAMILIES"
    known = measures.load()
    for measure in known.values():
        assert measure.unit and measure.source and measure.doc.endswith("."), measure.name


def test_irreps_of_a_cycle_are_its_frequencies(values):
    _, found = values("add")
    assert found["irrep_logit_cos"] == pytest.approx(found["logit_cos"])
    assert found["irrep_W_E_energy"] == pytest.approx(found["W_E_energy"])
    assert found["excluded_loss_irrep_logit_train"] == pytest.approx(found["excluded_loss_logit3d_train"])


def test_frequencies_one_at_a_time(tmp_path):
    from interp import open_run
    from interp.measures import measure_snapshot

    for shape in ("add", "mul"):
        snap = open_run(random_run(tmp_path / shape, **SHAPES[shape]).path, key_freqs=[3, 1])[0]
        found = measure_snapshot(snap)
        for k in (3, 1):
            direct = Direct(snap, [k])
            expected = {
                "restricted_loss_logit2d_all_by_freq": direct.restricted_2d("all"),
                "excluded_loss_logit2d_train_by_freq": direct.excluded_2d([k]),
                "excluded_loss_logit3d_train_by_freq": direct.excluded_3d(),
                "restricted_loss_neuron_all_by_freq": direct.restricted_neuron("all"),
                "excluded_loss_neuron_train_by_freq": direct.excluded_neuron(),
                "excluded_loss_irrep_logit_train_by_irrep": direct.excluded_3d(),
                "restricted_loss_irrep_hidden_all_by_irrep": direct.loss(
                    direct.project(direct.H, [k]) @ direct.W_L, "all"
                ),
                "excluded_loss_irrep_hidden_train_by_irrep": direct.loss(
                    (direct.H - direct.project(direct.H, [k])) @ direct.W_L, "train"
                ),
            }
            for name, value in expected.items():
                assert found[name][k] == pytest.approx(value, rel=2e-4), (shape, name)
        both = Direct(snap, [3, 1])
        hidden = both.project(both.H, [3, 1]) @ both.W_L
        assert found["restricted_loss_irrep_hidden_all"] == pytest.approx(both.loss(hidden, "all"), rel=2e-4)


def test_irrep_measures_of_a_group_against_its_representations(values):
    """Irrep measures of S3 against its matrices: the sign, and the symmetries of a triangle."""
    from itertools import permutations

    from train.algebra.groups import group

    run, found = values("group")
    elements = [tuple(int(c) for c in name) for name in group("S3").elements]
    assert sorted(elements) == sorted(permutations(range(3)))

    def sign(g):
        return (-1.0) ** sum(g[i] > g[j] for i in range(3) for j in range(i + 1, 3))

    def standard(g):
        corner = np.array([[math.cos(2 * math.pi * i / 3), math.sin(2 * math.pi * i / 3)] for i in range(3)])
        return np.sum([np.outer(corner[g[i]], corner[i]) for i in range(3)], axis=0) * 2 / 3

    snap, n = run.last, 6
    table = run.task.table.values.numpy()
    inverse = [int(np.argmax(table[g] == int(np.argmax((table == np.arange(n)).all(axis=1))))) for g in range(n)]
    L = np.asarray(snap.logits.double().numpy()[:, :n]).reshape(n, n, n)
    L = L - L.mean(axis=2, keepdims=True)
    W = run.weights(snap.step)["embed.W_E"].double().numpy()[:n]
    for name, rep in (("1.2", lambda g: np.array([[sign(g)]])), ("2.1", standard)):
        matrices = [rep(g) for g in elements]
        X = np.array([[[np.trace(matrices[table[table[a, b], inverse[c]]]) for c in range(n)] for b in range(n)]
                      for a in range(n)])  # fmt: skip
        assert found["irrep_logit_cos"][name] == pytest.approx(
            (L * X).sum() / np.linalg.norm(L) / np.linalg.norm(X), abs=1e-4
        )
        Q = np.linalg.qr(np.array([m.flatten() for m in matrices]))[0]
        assert found["irrep_W_E_energy"][name] == pytest.approx(((Q.T @ W) ** 2).sum() / (W**2).sum(), abs=1e-6)
