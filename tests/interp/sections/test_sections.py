"""The report's sections on the hand-made run, whose answers are known in closed form."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from oracles.handmade import handmade_run

P, KEYS = 23, (3, 5, 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), P, KEYS))


def figures(blocks) -> list[Any]:
    from interp.html.blocks import Figure

    return [block for block in blocks if isinstance(block, Figure)]


def trace(fig, number) -> Any:
    return list(fig.data)[number]


def test_outcome_names_the_steps(run):
    """The outcome says that 99% is reached between steps 0 and 10, on training and test rows."""
    from interp.story import outcome, transition

    assert transition.crossings(run) == {"train": 10, "test": 10, "test_stable": 10, "delay": 0}
    claims = {claim.id: claim for claim in outcome.accuracy_claims(run)}
    assert set(claims) == {"outcome.fitted", "outcome.grokked"}
    assert all("between steps 0 and 10" in claim.text for claim in claims.values())
    assert claims["outcome.grokked"].numbers["below"] == 0 and claims["outcome.grokked"].numbers["at"] == 10


def test_outcome_of_a_run_that_did_not_grok(run, tmp_path):
    from interp import open_run
    from interp.story.outcome import accuracy_claims

    path = handmade_run(tmp_path, P, KEYS, scales=(0.0, 0.0))
    assert [claim.id for claim in accuracy_claims(open_run(path))] == ["outcome.not_fitted", "curves.test_acc"]
    rows = open_run(path)
    rows.log.loc[:, "train_acc"] = 1.0
    assert [claim.id for claim in accuracy_claims(rows)] == ["outcome.fitted", "curves.test_acc"]


def test_curves_show_the_log_and_the_cursor_moves(run):
    from interp.sections import curves

    loss, accuracy = figures(curves.build(run))
    assert list(trace(loss.fig, 1).y) == pytest.approx(run.evaluations["test_loss"].tolist())
    assert trace(loss.fig, 1).y[0] == pytest.approx(math.log(P), rel=1e-6)
    assert list(trace(loss.at(100), 2).x) == [100, 100]
    assert list(trace(loss.at(0), 2).x) == [0.5, 0.5]
    assert list(trace(accuracy.fig, 0).y) == [pytest.approx(1 / P, abs=0.05), 1, 1, 1, 1]


def test_spectra_hold_the_keys_alone(run):
    """W_E, W_U and W_L have equal energy at each key frequency and none elsewhere."""
    from interp.sections import spectra

    blocks = figures(spectra.build(run))
    assert [block.id for block in blocks] == ["W_E", "W_U", "W_L"]
    for block in blocks:
        energy = np.asarray(trace(block.at(1000), 2).y)
        for k in range(1, P // 2 + 1):
            share = 1 / 3 if k in KEYS else 0.0
            assert energy[k - 1] == pytest.approx(share, abs=1e-3), (block.heading, k)
    at_zero = np.asarray(trace(blocks[1].at(0), 2).y)
    assert (at_zero == 0).all()  # the output layer is zero at scale 0: no NaN
    for k in KEYS:
        assert f"{k} (33.3\u00a0%)" in blocks[0].texts[-1]


def test_spectrum_figure_is_the_frame_at_each_step(run):
    """Applying the tracks equals drawing the figure from that step's numbers."""
    from interp.figures.spectra import spectrum_figure
    from interp.sections import spectra

    block = figures(spectra.build(run))[1]
    image = trace(block.fig, 0)
    frame = pd.DataFrame(
        {
            "step": np.repeat(run.steps, P // 2),
            "k": list(range(1, P // 2 + 1)) * len(run.steps),
            "energy": np.asarray(image.z).T.ravel(),
        }
    )
    for step in run.steps:
        drawn = spectrum_figure(frame, step)
        for number in (1, 2):
            assert list(trace(block.at(step), number).x) == list(trace(drawn, number).x)
            assert np.allclose(trace(block.at(step), number).y, trace(drawn, number).y)


def test_grid_counts_cells(run):
    from interp.sections import grid

    (block,) = figures(grid.build(run))
    z = np.asarray(trace(block.at(1000), 0).z)
    is_train = run.task.is_train.numpy().reshape(P, P)
    assert ((z == 3) == is_train).all()
    assert ((z == 1) == ~is_train).all()
    first = np.asarray(trace(block.at(0), 0).z)  # all logits 0: the answer is 0
    right = np.add.outer(range(P), range(P)) % P == 0
    assert ((first % 2 == 1) == right).all()
    n_train = int(is_train.sum())
    assert block.texts is not None and f"{n_train} of {n_train} training cells" in block.texts[-1]
    assert f"from {P} to {P * P}, of {P * P}" in block.takeaway


def test_undefined_cells_are_neither_right_nor_wrong():
    from interp.story.answers import counts_of, states_of
    from train.config.run import RunConfig
    from train.config.task import TaskConfig
    from train.tasks.task import make_task

    task = make_task(RunConfig(task=TaskConfig(op="div", p=5, train_frac=0.5)))
    right = np.zeros((2, 25), bool)
    right[1] = task.is_defined.numpy()
    states = states_of(task, right)
    assert states.dtype == np.uint8 and (states.reshape(2, 5, 5)[:, :, 0] == 4).all()
    assert (states.reshape(2, 5, 5)[:, :, 1:] != 4).all()
    assert task.is_train is not None
    n_train = int(task.is_train.sum())
    assert counts_of(states[0], True) == {
        "train, right": 0, "train, wrong": n_train, "test, right": 0, "test, wrong": 20 - n_train, "undefined": 5,
    }  # fmt: skip
    assert counts_of(states[1], True)["train, right"] == n_train


def test_norms_are_plain_sums(run):
    from interp.sections.norms import norms_frame

    frame = norms_frame(run)
    weights = run.weights(100)
    by_hand = {name: math.sqrt(sum(float(x) ** 2 for x in t.flatten())) for name, t in weights.items()}
    at_100: Any = frame[frame["step"] == 100]
    rows = dict(zip(at_100["tensor"], at_100["frobenius"], strict=True))
    for name, value in by_hand.items():
        if value > 0:
            assert rows[name] == pytest.approx(value, rel=1e-6)
    assert rows["total"] == pytest.approx(math.sqrt(sum(v**2 for v in by_hand.values())), rel=1e-6)
    assert "blocks.0.attn.W_Q" not in rows  # zero throughout


@pytest.fixture(scope="module")
def map_blocks(run, module_mocker_umap):
    from interp.sections import maps

    return maps.build(run)


@pytest.fixture(scope="module")
def module_mocker_umap():
    """Replace UMAP, which compiles for half a minute, by PCA; the end-to-end test runs the real one."""
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training

    patch = pytest.MonkeyPatch()
    patch.setattr(maps, "umap_beside", lambda rows: lambda: pca_over_training(rows)[0])
    yield
    patch.undo()


def test_pca_of_a_single_key_is_its_ring(tmp_path, module_mocker_umap):
    """With one key k the PCA map is a perfect ring with score 1 at k, walked by the chain of step 1/k."""
    from interp import open_run
    from interp.sections import maps

    pca = figures(maps.build(open_run(handmade_run(tmp_path, P, (5,)))))[0]
    assert pca.texts is not None
    assert "circle score is 1.00 at frequency 5" in pca.texts[-1]
    step = min(pow(5, -1, P), P - pow(5, -1, P))
    assert trace(pca.fig, 0).name == f"+{step} chain (k = 5)"
    x, y = (np.asarray(trace(pca.fig, 0)[axis]) for axis in "xy")
    lengths = np.hypot(np.diff(x), np.diff(y))
    lengths = lengths[~np.isnan(lengths)]
    assert len(lengths) == P
    assert lengths == pytest.approx(np.full(P, lengths[0]), rel=1e-3)  # a regular polygon walked once
    control = np.hypot(np.diff(np.asarray(trace(pca.fig, 1).x)), np.diff(np.asarray(trace(pca.fig, 1).y)))
    assert control[0] > 1.5 * lengths[0]  # the +8 chain does not follow this ring


def test_maps_have_scores_and_tracks(map_blocks, run):
    pca, tsne, umap = figures(map_blocks)
    assert pca.steps == tsne.steps == tuple(run.steps)
    for block in (pca, tsne, umap):
        assert block.texts is not None
        assert all("trustworthiness" in text and "circle score" in text for text in block.texts)
        assert len(block.tracks) == 2 * len(list(block.fig.data))


def test_the_frame_is_set_for_the_last_map(tmp_path, module_mocker_umap):
    """The last map fills half of its frame even if the weights were once a hundred times larger."""
    from interp import open_run
    from interp.sections import maps

    for number, scales in enumerate([(1.0, 1.0, 100.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, 100.0)]):
        pca = figures(maps.build(open_run(handmade_run(tmp_path / str(number), P, (5,), scales=scales))))[0]
        (left, right), points = pca.fig.layout.xaxis.range, trace(pca.fig, 1)
        assert left == -right
        widest = max(np.nanmax(np.abs(np.asarray(points[axis]))) for axis in "xy")
        assert right / 2 < widest < right


def test_groups_without_a_cycle_say_so(tmp_path, module_mocker_umap):
    """The sections of S3 show spectra by irrep, and maps without a circle score."""
    import torch

    from interp import open_run
    from interp.html.blocks import Text
    from interp.measures import measure_snapshot
    from interp.sections import grid, maps, spectra
    from interp.story.claims import claims_of
    from train.config.model import ModelConfig
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig
    from train.engine.loop import train
    from train.storage.store import RunStore

    config = RunConfig(
        task=TaskConfig(op="compose", p=None, group="S3", train_frac=0.5),
        model=ModelConfig(d_model=8, n_heads=2),
        schedule=ScheduleConfig(steps=3),
    )
    store = RunStore.create(tmp_path, config)
    train(config, store, torch.device("cpu"))
    run = open_run(store.path)
    blocks: Any = spectra.build(run)
    text, W_E, _, W_L = blocks
    assert isinstance(text, Text)
    assert "S3 is not cyclic" in text.markdown and "not part of" not in text.markdown
    values = measure_snapshot(run.last, ["irrep_W_E_energy", "irrep_W_L_energy"])
    for block, name in ((W_E, "irrep_W_E_energy"), (W_L, "irrep_W_L_energy")):
        drawn = {t.name: t.y[-1] for t in block.fig.data if t.name != "this step"}
        assert drawn == pytest.approx(values[name], abs=1e-6) and len(drawn) == 2  # the sign and the plane
    sign, plane = sorted(values["irrep_W_E_energy"])
    found = claims_of([W_E])[0].numbers
    assert found[f"even {sign}"] == pytest.approx(1 / 6) and found[f"even {plane}"] == pytest.approx(4 / 6)  # d^2 / n
    block = figures(maps.build(run))[0]
    assert "circle score" not in block.takeaway
    points = list(block.fig.data)[-1]
    assert sorted(points.marker.color) == [1, 2, 2, 2, 3, 3]  # the orders of S3's elements
    assert len(figures(grid.build(run))) == 1
