"""Sections on circuits: on the hand-made run, whose key frequencies are known, and on runs that they do not fit."""

import math
import re
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


def lines(figure: Any) -> dict[str, Any]:
    """Lines of a figure by name."""
    return {trace.name: trace for trace in figure.fig.data if trace.mode == "lines"}


def test_progress_shows_the_measures_and_says_which_keys(run):
    from interp.measures import measure_snapshot
    from interp.sections import progress
    from interp.story.words import short

    blocks: Any = progress.build(run)
    named = blocks[0].markdown.partition("Key frequencies ")[2].partition(" (")[0]
    assert sorted(map(int, re.findall(r"\d+", named))) == list(KEYS)
    assert "look ahead" in blocks[0].markdown and "No transition is shaded" in blocks[0].markdown
    losses, shares, by_freq = of_kind(blocks, "Figure")
    for i, step in enumerate(run.steps):
        values = measure_snapshot(run[step])
        for name in ("test_loss", "restricted_loss_logit2d_all", "excluded_loss_neuron_train"):
            drawn = lines(losses)[short(name)].y[i]
            assert drawn == pytest.approx(values[name]) or values[name] <= 1e-12
        assert lines(shares)[short("logit_fve")].y[i] == pytest.approx(values["logit_fve"])
        by_k = values["excluded_loss_logit2d_train_by_freq"]
        assert {k: lines(by_freq)[f"without k = {k}"].y[i] for k in KEYS} == pytest.approx(by_k)
    cursor = list(losses.at(100).data)[-1]
    assert list(cursor.x) == [100, 100]
    table = of_kind(blocks, "Table")[0].frame.set_index("measure")
    assert table.loc["test_acc", "value"] == 1
    assert "nats" in table.loc["test_loss", "unit"]


def test_the_transition_is_shaded_from_train_to_test(run):
    from interp import open_run
    from interp.sections import progress
    from interp.story.transition import transition

    other = open_run(run.path)
    other.log.loc[other.log["step"] < 1000, "test_acc"] = 0.0
    assert transition(other) == (10, 1000)
    band = next(t for t in of_kind(progress.build(other), "Figure")[0].fig.data if t.fill == "toself")
    assert sorted(set(band.x)) == [10, 1000]
    said = of_kind(progress.build(other), "Text")[0].markdown
    assert "(between steps 0 and 10) to 99\u00a0% test accuracy (between steps 100 and 1,000)" in said
    assert transition(run) is None  # both at one step


def test_keyfreqs_tells_when_they_came(run):
    """The hand-made logits have the same shape at every scale but 0."""
    from interp.sections import keyfreqs
    from interp.story import circuit

    blocks: Any = keyfreqs.build(run)
    (figure,) = of_kind(blocks, "Figure")
    assert set(lines(figure)) == {*(f"k = {k}" for k in KEYS), "this step"}
    assert math.isnan(lines(figure)["k = 5"].y[0]) and lines(figure)["k = 5"].y[1] > 0.2  # 0 is not on a log axis
    assert "became the final one between steps 0 and 10" in figure.takeaway
    when, rules = of_kind(blocks, "Table")
    rows: Any = when.frame.set_index("k")
    assert set(rows.index[rows["key"] == "yes"]) == set(KEYS)
    assert rows.loc[5, circuit.FIRST] == 10 and rows.loc[5, circuit.STAYS] == 10
    chosen = rules.frame.set_index("measure")["frequencies"]
    assert chosen["key_freqs"] == chosen["key_freqs_nanda"] == "3, 5, 9"


def test_a_frequency_that_was_lost_is_listed_as_such():
    import pandas as pd

    from interp.story.circuit import settled

    share = pd.DataFrame(
        [(0, 1, 0.5), (0, 2, 0.0), (5, 1, 0.5), (5, 2, 0.3), (9, 1, 0.0), (9, 2, 0.3)], columns=["step", "k", "value"]
    )
    assert settled(share, (0, 5, 9), (2,)) == (9, 9)
    assert settled(share, (0, 5, 9), (1, 2)) == (5, None)
    assert settled(share, (0, 5, 9), (3,)) == (None, None)


def test_given_keys_are_named_as_given(run):
    from interp import open_run
    from interp.sections import keyfreqs

    blocks: Any = keyfreqs.build(open_run(run.path, key_freqs=[4]))
    assert blocks[0].markdown == "Key frequency 4 (given)."
    assert "which were given" in of_kind(blocks, "Figure")[0].takeaway


def test_pizza_shows_the_scores(run):
    from interp.measures import measure_snapshot
    from interp.sections import pizza

    blocks: Any = pizza.build(run)
    scores = of_kind(blocks, "Figure")[0]
    for name in ("gradient_symmetricity", "distance_irrelevance", "circularity"):
        value = measure_snapshot(run.last, [name])[name]
        assert lines(scores)[name.replace("_", " ")].y[-1] == pytest.approx(value)
        assert math.isnan(lines(scores)["distance irrelevance"].y[0])  # all logits are 0 there


def test_pizza_draws_each_circles_forms(tmp_path):
    from interp.measures import measure_snapshot
    from interp.sections import pizza
    from tests.interp.measures.test_measures import with_circles

    run = with_circles(random_run(tmp_path, **SHAPES["pizza"]))
    panels = of_kind(pizza.build(run), "Figure")[1]
    values = measure_snapshot(run.last, pizza.FORMS)
    titles = [note.text for note in panels.fig.layout.annotations]
    assert set(titles) >= {"circle k = 2", "circle k = 3"}
    last = {(t.name, i): t.y[-1] for i, t in enumerate(panels.fig.data)}
    drawn = sorted(value for (name, _), value in last.items() if name == "cos w(a+b-c)")
    expected = [values["circle_clock_fve"][int(title.split()[-1])] for title in titles]
    assert drawn == pytest.approx(sorted(value for value in expected if value > -1.05))


def test_ablations_show_the_tables_numbers(run):
    from interp.circuits import ablations
    from interp.sections import ablations as section

    blocks: Any = section.build(run)
    (figure,), (table,) = of_kind(blocks, "Figure"), of_kind(blocks, "Table")
    expected: Any = ablations(run.last, None, list(KEYS), subsets=("test",)).set_index("intervention")
    row = table.frame[(table.frame["label"] == "head 1 of layer 0") & (table.frame["how"] == "mean")].iloc[0]
    assert row["loss_nats"] == pytest.approx(expected.loc["head L0H1 mean", "loss_nats"])
    dots = {
        (t.name, label): x for t in figure.fig.data if t.xaxis in (None, "x") for label, x in zip(t.y, t.x, strict=True)
    }
    assert dots["mean", "head 1 of layer 0"] == row["loss_nats"]
    kept = table.frame[(table.frame["how"] == "kept") & table.frame["label"].str.contains("logits")].iloc[0]
    removed = table.frame[
        (table.frame["how"] == "removed") & table.frame["label"].str.contains("3, 5, 9 in logits")
    ].iloc[0]
    assert kept["accuracy"] == 1 and removed["accuracy"] < 0.9
    assert {"neurons k = 3", "neurons k = 5", "neurons k = 9"} <= set(table.frame["label"])


def test_ablations_move_with_the_slider(run):
    from interp.circuits import ablations
    from interp.sections import ablations as section

    (figure,) = of_kind(section.build(run), "Figure")
    assert figure.steps == tuple(run.steps) and len(set(figure.texts)) == len(run.steps)
    for step in run.steps:
        expected: Any = ablations(run[step], None, list(KEYS), subsets=("test",)).set_index("intervention")
        drawn = {(t.name, t.xaxis, label): x for t in figure.at(step).data for label, x in zip(t.y, t.x, strict=True)}
        for axis, column in (("x", "loss_nats"), ("x2", "accuracy")):
            assert drawn["zero", axis, "head 2 of layer 0"] == pytest.approx(expected.loc["head L0H2 zero", column])
            assert drawn["no ablation", axis, "whole model"] == pytest.approx(expected.loc["none", column])
        low, high = figure.fig.layout.xaxis.range
        losses = [x for (_, axis, _), x in drawn.items() if axis == "x"]
        assert 10**low < max(min(losses), 1e-16) and max(losses) < 10**high


@pytest.mark.parametrize("shape", ["polynomial", "group", "mlp", "norm", "two"])
@pytest.mark.parametrize("name", ["progress", "keyfreqs", "pizza", "ablations", "patching"])
def test_runs_that_they_do_not_fit_say_why(tmp_path, shape, name):
    """A section that does not apply gives one line with the reason, also for runs without a log."""
    import importlib

    run = random_run(tmp_path, **SHAPES[shape])
    blocks: Any = importlib.import_module(f"interp.sections.{name}").build(run)
    texts = " ".join(block.markdown for block in of_kind(blocks, "Text"))
    if shape in ("polynomial", "group") and name in ("keyfreqs", "pizza"):
        absent = "S3 is not cyclic" if shape == "group" else "Not shown: "
        assert texts.startswith(absent if name == "keyfreqs" else "**There is no circuit to name**")
        assert "x2_y2" in texts or "S3" in texts
    elif shape in ("polynomial", "group") and name != "patching":
        assert "x2_y2" in texts or "S3" in texts
    assert blocks


def test_a_group_has_irreps_where_frequencies_stand(tmp_path):
    """Shares are squared cosines; the last snapshot is moved to follow one irrep's character, which is then named."""
    from interp.measures import measure_snapshot
    from interp.sections import keyfreqs

    run = random_run(tmp_path, **SHAPES["group"])
    (figure,) = of_kind(keyfreqs.build(run), "Figure")
    for i, step in enumerate(run.steps):
        cosines = measure_snapshot(run[step], ["irrep_logit_cos"])["irrep_logit_cos"]
        drawn = {name: line.y[i] for name, line in lines(figure).items() if name != "this step"}
        expected = {name: cosine**2 if cosine**2 > 1e-4 else math.nan for name, cosine in cosines.items()}
        assert drawn == pytest.approx(expected, nan_ok=True) and len(drawn) == 2
    assert "no irrep holds 1\u00a0%" in figure.takeaway


def test_the_irreps_that_carry_the_logits_are_named(run):
    from interp.story.circuit import irreps_claim

    last = run.last.step
    share = pd.DataFrame(
        [(last, "1.2", 0.004), (last, "2.1", 0.8), (0, "1.2", 0.9)], columns=["step", "irrep", "value"]
    )
    claim = irreps_claim(run, share)
    assert (claim.id, claim.numbers) == ("keyfreqs.irreps", {"irrep 2.1": 0.8}) and "1 of 2 irreps" in claim.text


def test_patching_shows_the_tables_of_the_functions(run):
    from interp.circuits import effects, patch_from, patch_inputs
    from interp.sections import patching

    inputs, snapshots = of_kind(patching.build(run), "Table")
    clean, corrupted = patching.corrupted_pairs(run)
    labels = run.task.labels[:, 0]
    assert bool((labels[clean] != labels[corrupted]).all())
    assert bool((run.task.pairs[clean][:, 1] == run.task.pairs[corrupted][:, 1]).all())
    expected: Any = patch_inputs(run.last, clean, corrupted)
    best = expected["recovered"].max()
    assert inputs.frame["recovered"].iloc[0] == pytest.approx(best, abs=1e-4)
    before = inputs.frame[
        (inputs.frame["activation"] == "residual stream before the layer") & (inputs.frame["position"] == "a")
    ]
    assert before["recovered"].item() == pytest.approx(1, abs=1e-3)  # the operand that was replaced
    early = run.nearest(10)
    hook = "blocks.0.mlp.hook_post"
    table: Any = effects(run.last, {"x": patch_from(early, hook)}, subsets=("test",))
    row = snapshots.frame.query("model == 'step 10,000' and intervention == 'layer 0 neurons' and subset == 'test'")
    assert row["loss_nats"].item() == pytest.approx(table["loss_nats"].iloc[1])


def test_patching_of_one_snapshot_says_so(tmp_path):
    from interp.runs.run import Run
    from interp.sections import patching

    found = random_run(tmp_path, **SHAPES["add"])
    texts = [block.markdown for block in of_kind(patching.build(Run(found.store, without=[0])), "Text")]
    assert texts == ["Patching between snapshots is not shown: there is only one snapshot."]
