"""Published values of models that others trained, to the digits in which they are given; and published errors.

The files are not redistributed here: without the folder that holds them most of these tests are skipped.
"""

import csv

import numpy as np
import pytest
from oracles.published import KEYS, VALUES, agrees, half_unit, keys_of, number, ours, published_irreps
from oracles.third_party import MODELS, VARIABLE, folder, published_run

needs_files = pytest.mark.skipif(folder() is None, reason=f"{VARIABLE} names no folder with the published files")
SHORT = 1e-5
"""Their metrics are float32 sums of up to 1.7 million terms: of the 8 digits stored, 5 hold."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """``measured(model)``: its Run and all measures of its only snapshot."""
    root = tmp_path_factory.mktemp("published")
    made = {}

    def get(model):
        from interp.measures import measure_snapshot

        source = folder()
        assert source is not None
        if model not in made:
            run = published_run(model, source, root)
            made[model] = run, measure_snapshot(run.last)
        return made[model]

    return get


def test_digits_say_how_well_a_value_is_known():
    assert number("75.41%") == pytest.approx(0.7541) and half_unit("75.41%") == pytest.approx(5e-5)
    assert half_unit("1.110e-6") == pytest.approx(5e-10) and half_unit("76.03") == pytest.approx(5e-3)
    assert agrees(0.8849, "0.885") and not agrees(0.8856, "0.885") and half_unit("181") == 0.5
    assert {value.model for value in VALUES} == set(MODELS) == set(KEYS)


@needs_files
@pytest.mark.parametrize("value", VALUES, ids=lambda v: f"{v.model} {v.measure} {v.at}")
def test_published_value(measured, value):
    """Our values round to the printed digits; where a published value breaks its definition, ours differs."""
    run, found = measured(value.model)
    at_hand = ours(run, found, value)
    assert agrees(at_hand, value.expected), f"{at_hand:.8g}"
    if value.true is not None:
        assert not agrees(at_hand, value.published), f"{at_hand:.8g}"


@needs_files
@pytest.mark.parametrize("model", KEYS)
def test_keys_are_the_published_ones(measured, model):
    run, _ = measured(model)
    names = published_irreps(run.config.task.group)
    assert set(keys_of(run)) == {names.get(k, k) for k in KEYS[model]}


@needs_files
def test_last_row_of_the_published_metrics_of_s5(measured):
    """All columns that have a measure agree; hidden ones are shares of the uncentred squares of activations."""
    run, found = measured("S5_T_seed1")
    source = folder()
    assert source is not None
    with (source / "reptheory_S5_T_seed1_metrics.csv").open() as file:
        row = {name: float(text) for name, text in list(csv.DictReader(file))[-1].items() if name}
    varying = 1 - row["percent_hidden_trivial_rep"]
    expected = {name: found[name] for name in ("train_loss", "test_loss", "all_loss", "train_acc", "test_acc")}
    for theirs, name in published_irreps("S5").items():
        expected[f"logit_{theirs}_rep_trace_similarity"] = found["irrep_logit_cos"][name]
        expected[f"percent_x_embed_{theirs}_rep"] = found["irrep_W_E_energy"][name]
        expected[f"percent_y_embed_{theirs}_rep"] = found["irrep_W_E_energy"][name]
        expected[f"percent_unembed_{theirs}_rep"] = found["irrep_W_L_energy"][name]
        expected[f"percent_hidden_{theirs}_rep"] = found["irrep_neuron_ab_fve"][name] * varying
    of_totals = {
        "total_logit_restricted_loss": "restricted_loss_irrep_logit_all",
        "total_logit_excluded_loss": "excluded_loss_irrep_logit_train",
        "total_hidden_restricted_loss": "restricted_loss_irrep_hidden_all",
        "total_hidden_excluded_loss": "excluded_loss_irrep_hidden_train",
        "percent_logits_explained": "irrep_logit_fve",
    }
    expected |= {theirs: found[name] for theirs, name in of_totals.items()}
    expected["test_loss_restricted_loss_ratio"] = found["test_loss"] / found["restricted_loss_irrep_hidden_all"]
    eps = float(np.finfo(np.float32).eps)
    for name, value in expected.items():
        tolerance = eps if "similarity" in name else 0.0  # cosines are differences of sums
        assert value == pytest.approx(row[name], rel=SHORT, abs=tolerance), name
    assert row["sum_of_squared_weights"] == 0 and found["total_norm"] > 33


@needs_files
def test_published_distance_irrelevance_is_that_of_the_best_wrong_logit(measured):
    _, found = measured("Pizza A")
    assert agrees(found["distance_irrelevance_best_wrong"], "0.2218")
    assert not agrees(found["distance_irrelevance"], "0.2218")


@needs_files
def test_published_code_misses_the_last_frequency_of_a_model_that_uses_it(measured):
    _, found = measured("C113_T_seed1")
    assert set(found["key_freqs_nanda"]) == set(found["key_freqs"]) == {16, 30, 56}
    assert 56 not in found["key_freqs_nanda_code"] and found["key_freqs_nanda_code"][1] > 100


def test_qr_of_a_cycles_matrix_coefficients_takes_two_directions_too_many():
    """Published hidden bases of cyclic groups have four columns, cos and sin twice, but rank two."""
    angle = 2 * np.pi * 16 * np.arange(113) / 113
    columns = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1)
    Q = np.linalg.qr(columns)[0]
    right = np.stack([np.cos(angle), np.sin(angle)]) / np.sqrt(113 / 2)
    assert np.linalg.matrix_rank(columns) == 2
    assert np.trace(Q @ Q.T) == pytest.approx(4)
    assert np.linalg.norm(Q[:, 2:].T @ right.T) < 1e-6  # what the two others take is no part of the frequency's


def test_a5_has_two_irreps_of_degree_3_and_published_matrices_are_neither():
    """A5's two irreps of degree 3 have the golden ratio at a 5-cycle; the published matrices have another trace."""
    from interp.maths.irreps import characters
    from train.algebra.groups import group

    made = group("A5")
    five, double = made.elements.index("12340"), made.elements.index("02143")
    product = int(made.table[five, double])
    traces = [chi.real[[five, double, product]].tolist() for chi in characters(made.table)[1:3]]
    golden = (1 + 5**0.5) / 2
    published, right = (rotation(constant) for constant in ((1 + 5**0.5) / 5, (1 + 5**0.5) / 4))
    half_turn = np.diag([-1.0, 1.0, -1.0])
    for R, is_irrep in ((right, True), (published, False)):
        fifth = np.linalg.norm(np.linalg.matrix_power(R, 5) - np.eye(3))
        found = [np.trace(R), np.trace(half_turn), np.trace(R @ half_turn)]
        matches = any(np.allclose(found, expected, atol=1e-9) for expected in traces)
        assert matches == is_irrep and (fifth < 1e-12) == is_irrep
    assert sorted(t[0] for t in traces) == pytest.approx([1 - golden, golden])
    assert [t[1] for t in traces] == pytest.approx([-1, -1])
    assert np.abs(np.linalg.matrix_power(published, 5) - np.eye(3)).max() == pytest.approx(0.61, abs=5e-3)
    assert np.trace(published) == pytest.approx(1.9415, abs=5e-5)


def rotation(constant):
    """Rotation matrix of the vector (2 pi/5) sqrt(8/(5 + sqrt 5)) (1/2, constant, 0); its length is the angle."""
    v = 2 * np.pi / 5 * np.sqrt(8 / (5 + np.sqrt(5))) * np.array([0.5, constant, 0])
    angle = np.linalg.norm(v)
    x, y, z = v / angle
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K
