"""The texts of the sections on circuits: turning points, lost frequencies, absent values and unknown splits."""

import importlib
from typing import Any

import pandas as pd
import pytest
from oracles.handmade import handmade_run
from oracles.runs import SHAPES, random_run

P, KEYS = 23, (3, 5, 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from interp import open_run

    return open_run(handmade_run(tmp_path_factory.mktemp("runs"), P, KEYS))


def of_kind(blocks: Any, name: str) -> list[Any]:
    return [block for block in blocks if type(block).__name__ == name]


def shares(**curves: list[float]) -> pd.DataFrame:
    """A frame with columns step, k, value from curves named k<number>, at steps 0, 10, 20, ...."""
    rows = [(10 * i, int(name[1:]), v) for name, values in curves.items() for i, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["step", "k", "value"])


def test_a_step_says_the_values_that_there_are(run):
    from interp.story.words import step_texts

    gini, own = "gini_W_E", "my_measure"
    rows = [(0, gini, 0.25), (0, own, float("nan")), (10, gini, 0.5), (10, own, 0.125)]
    frame = pd.DataFrame(rows, columns=["step", "measure", "value"])
    assert step_texts(run, frame, (0, 10, 20)) == (
        "At step 0 the sparsity of the embedding's spectrum is 0.25.",
        "At step 10 the sparsity of the embedding's spectrum is 0.50 and my measure is 0.125.",
        "At step 20 none of these is defined.",
    )


def test_the_excluded_loss_turns_only_where_it_rises_again():
    from interp.story.circuit import turn_claim

    def losses(values):
        name = "excluded_loss_logit2d_train"
        return pd.DataFrame({"step": [0, 10, 20], "measure": name, "value": values})

    found = turn_claim(losses([3.0, 0.5, 6.0]), uniform=5.0)
    assert found is not None and found.numbers == {"lowest": 0.5, "lowest_step": 10, "last": 6.0}
    assert "by way of these frequencies" in found.text
    for uniform in (None, 7.0):  # a model that does not generalise; one that is still better than a guess
        found = turn_claim(losses([3.0, 0.5, 6.0]), uniform)
        assert found is not None and "by way of" not in found.text
    assert turn_claim(losses([3.0, 2.0, 1.0]), 5.0) is None  # control: it only falls
    assert turn_claim(losses([3.0, 2.0, 1.0]).iloc[:0], 5.0) is None


def test_a_frequency_that_came_and_went_is_said_and_drawn(run):
    from interp.story import circuit

    share = shares(k1=[0, 0.5, 0.5, 0.5], k2=[0, 0, 0.02, 0.3], k4=[0, 0.03, 0.05, 1e-9], k6=[0, 0, 0.009, 0.009])
    when: Any = circuit.crossing_times(share, (1, 2))
    assert when["k"].tolist() == [1, 2, 4]  # 6 never held 1%
    assert when[circuit.FIRST].tolist() == [10, 20, 10]
    assert when[circuit.STAYS].tolist() == [10, 20, pd.NA] and when["key"].tolist() == [True, True, False]
    steps = (0, 10, 20, 30)
    claims = {claim.id: claim for claim in circuit.history_claims(share, steps, (1, 2), when)}
    assert set(claims) == {"keyfreqs.came", "keyfreqs.settled", "keyfreqs.lost"}
    assert claims["keyfreqs.came"].numbers == {"k=1": 10, "k=2": 20}
    assert "between steps 0 and 10" in claims["keyfreqs.came"].text  # the snapshots on either side
    assert claims["keyfreqs.settled"].numbers == {"stable": 30} and claims["keyfreqs.lost"].numbers == {"k=4": 0.05}
    kept = shares(k1=[0.5, 0.5, 0.5, 0.5], k2=[0.5, 0.001, 0.3, 0.3])
    again = circuit.history_claims(kept, steps, (1, 2), circuit.crossing_times(kept, (1, 2)))
    assert [claim.id for claim in again] == ["keyfreqs.always", "keyfreqs.came", "keyfreqs.settled"]
    assert again[2].numbers == {"stable": 20, "first": 0}


def test_shares_are_on_a_log_axis_with_the_threshold(run):
    from interp.parts.keyfreqs import KEY_SHARE
    from interp.sections import keyfreqs

    (figure,) = of_kind(keyfreqs.build(run), "Figure")
    assert figure.fig.layout.yaxis.type == "log"
    assert [shape.y0 for shape in figure.fig.layout.shapes] == [KEY_SHARE]


def test_every_circles_panel_has_the_cursor(tmp_path):
    from interp.sections import pizza
    from tests.interp.measures.test_measures import with_circles

    run = with_circles(random_run(tmp_path, **SHAPES["pizza"]))
    panels = of_kind(pizza.build(run), "Figure")[1]
    n_panels = sum(note.text.startswith("circle k") for note in panels.fig.layout.annotations)
    cursors = [i for i, trace in enumerate(panels.fig.data) if trace.name == "this step"]
    assert len(cursors) == n_panels == len(panels.tracks)
    assert len({panels.fig.data[i].xaxis for i in cursors}) == n_panels
    assert panels.steps[-1] == run.last.step and set(panels.steps) <= set(run.steps)
    first, place = panels.at(panels.steps[0]), max(panels.steps[0], 0.5)
    assert all(list(first.data[i].x) == [place, place] for i in cursors)
    low, high = panels.fig.layout.yaxis.range
    drawn = [y for trace in panels.fig.data for y in trace.y]
    assert low < min(drawn) and max(drawn) < high


@pytest.mark.parametrize(("score", "close"), [(0.95, 1), (-0.4, 0)])
def test_a_poor_form_is_said_to_be_none(run, score, close):
    """A poor correlation, (score + 1) / 2, is called no circle; the form cos w(a+b-c) is never called a clock."""
    from interp.story.behaviour import circles_claim

    forms = pd.DataFrame([(3, "pizza", -1.0), (3, "cos w(a+b-c)", score)], columns=["k", "form", "value"])
    found = circles_claim(run, forms, close=0.9)
    expected = {"best_k": 3, "correlation": (score + 1) / 2, "close": close, "circles": 1}
    assert found.numbers == pytest.approx(expected)
    assert "clock" not in found.text and ("no single circle" in found.text) == (not close)


def test_ablations_begin_with_the_model_as_it_is(run):
    from interp.sections import ablations

    (figure,), (table,) = of_kind(ablations.build(run), "Figure"), of_kind(ablations.build(run), "Table")
    first = table.frame.iloc[0]
    assert (first["label"], first["how"], first["loss_change_nats"]) == ("whole model", "no ablation", 0)
    assert first["loss_nats"] == pytest.approx(run.last.loss("test"))
    labels = table.frame["label"].tolist()
    assert labels[1:5] == [f"head {head} of layer 0" for head in (0, 0, 1, 1)]
    assert len(dict.fromkeys(labels)) == 1 + sum(a != b for a, b in zip(labels, labels[1:], strict=False))
    symbols = {trace.name: trace.marker.symbol for trace in figure.fig.data}
    assert len(set(symbols.values())) == len(symbols) == 5  # dots on each other are told apart


@pytest.mark.parametrize("shape", ["add", "polynomial", "mlp"])
def test_an_unknown_split_leaves_what_needs_none(importing_shape, shape):
    """A run with one snapshot, no log and no split makes no section fail, and absent values are named."""
    run = importing_shape(shape)
    assert run.task.is_train is None and len(run.steps) == 1 and run.evaluations.empty
    for name in ("progress", "keyfreqs", "pizza", "ablations"):
        blocks: Any = importlib.import_module(f"interp.sections.{name}").build(run)
        assert blocks, name
        for figure in of_kind(blocks, "Figure"):
            assert figure.takeaway and "nan" not in figure.takeaway, (name, figure.takeaway)
    progress: Any = importlib.import_module("interp.sections.progress").build(run)
    assert "transition" not in progress[0].markdown  # there is no time over which one could be shaded
    absent = of_kind(progress, "Table")[1].frame.set_index("reason")["measures"]
    (names,) = [names for reason, names in absent.items() if "split" in str(reason)]
    assert {"train_loss", "test_loss", "restricted_loss_neuron_test"} & set(names.split(", "))
    if shape == "add":
        (table,) = of_kind(importlib.import_module("interp.sections.ablations").build(run), "Table")
        assert "all rows" in table.caption


@pytest.fixture
def importing_shape(tmp_path):
    """``importing_shape(shape)``: an import of a random run of that shape."""
    from tests.interp.runs.test_imported import ORIGIN

    def make(shape):
        from interp import open_run
        from train.storage.imported import write_imported

        run = random_run(tmp_path / "source", **SHAPES[shape])
        config = run.config.to_dict()
        known = {"task": {n: v for n, v in config["task"].items() if "split" not in n and n != "train_frac"}}
        path = tmp_path / "out" / "stranger"
        snapshots = {step: run.weights(step) for step in run.steps[-1:]}
        write_imported(path, {**known, "model": config["model"]}, ORIGIN, snapshots, None)
        return open_run(path)

    return make
