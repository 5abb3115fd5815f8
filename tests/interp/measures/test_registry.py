"""Declaring measures: one definition for several rows and frequencies, and the chart of a measure over training."""

import re
from pathlib import Path
from typing import Any

import pytest
from oracles.runs import SHAPES, random_run

ROOT = Path(__file__).parents[3]


@pytest.fixture
def registry(monkeypatch):
    """An empty registry to which the decorators add, replaced by the real one after the test."""
    from interp.measures import load, registry

    load()
    monkeypatch.setattr(registry, "MEASURES", {})
    return registry


def test_one_definition_gives_a_measure_for_each_choice_of_rows_and_score(registry):
    from interp.measures.registry import IRREPS, Over, Score, scores

    calls = []

    @scores(
        "a paper",
        IRREPS,
        toy_loss_all=Over("all"),
        toy_acc_test=Over("test", accuracy=True, note=", table 2", chart="shares"),
        toy_loss_train_by_irrep=Over("train", by_freq=True),
    )
    def toy(snap, rows, keys):
        """{score} over {rows} of {keys}."""
        calls.append((rows, keys))
        return Score(len(keys), -len(rows))

    loss, accuracy, by_irrep = registry.MEASURES.values()
    assert (loss.name, loss.unit, loss.source) == ("toy_loss_all", "nats", "a paper")
    assert (accuracy.name, accuracy.unit, accuracy.source) == ("toy_acc_test", "share", "a paper, table 2")
    assert (loss.chart, accuracy.chart) == (None, "shares")
    assert loss.doc == "Mean cross-entropy over all rows of the key irreps."
    assert accuracy.doc == "Accuracy over the test rows of the key irreps."
    assert by_irrep.doc == "Mean cross-entropy over the training rows of one key irrep."


def test_scores_are_computed_once_a_snapshot_for_all_keys_or_for_each(registry, tmp_path):
    from interp import open_run
    from interp.measures.registry import FREQS, Over, Score, scores

    calls = []

    @scores("a paper", FREQS, a=Over("all"), b=Over("all", accuracy=True), c=Over("test", by_freq=True))
    def toy(snap, rows, keys):
        """{score} over {rows} of {keys}."""
        calls.append((rows, keys))
        return Score(10.0 * len(rows) + len(keys), float(sum(keys)))

    snap = open_run(random_run(tmp_path, **SHAPES["add"]).path, key_freqs=[5, 2]).last
    values = {name: measure(snap) for name, measure in registry.MEASURES.items()}
    assert values == {"a": 32.0, "b": 7.0, "c": {5: 41.0, 2: 41.0}}
    assert calls == [("all", (5, 2)), ("test", (5,)), ("test", (2,))]


def test_every_measure_has_a_definition_of_its_own_and_a_chart_has_one_unit():
    from interp.measures import charts, load

    known = load()
    assert len({measure.doc for measure in known.values()}) == len(known)
    assert not [name for name, measure in known.items() if re.search(r"[{}]|^The same\b|\b[Tt]hose\b", measure.doc)]
    for chart, measures in charts().items():
        units = {measure.unit for measure in measures}
        assert units == {"nats"} if chart == "losses" else chart == "shares" or len(units) == 1, chart


@pytest.mark.parametrize(("chart", "drawn"), [("shares", True), ("Confidence", True), (None, False)])
def test_a_measure_is_drawn_over_training_where_it_names_a_chart(monkeypatch, tmp_path, chart, drawn):
    """A declaration that names a chart is enough to draw a measure; without one (the control) no figure has it."""
    from interp.html.blocks import Figure
    from interp.measures import load
    from interp.measures.registry import MEASURES, Measure
    from interp.sections import progress

    load()
    step_share = Measure("toy", "share", "a paper", "Toy.", "losses", lambda snap: snap.step / 20, chart)
    monkeypatch.setitem(MEASURES, "toy", step_share)
    figures: list[Any] = [
        b for b in progress.build(random_run(tmp_path, **SHAPES["polynomial"])) if isinstance(b, Figure)
    ]
    traces = {str(trace.name): (figure.heading, list(trace.y)) for figure in figures for trace in figure.fig.data}
    assert ("toy" in traces) == drawn
    if drawn:
        heading, values = traces["toy"]
        assert values == [0.0, 0.5]
        assert heading == ("Confidence" if chart == "Confidence" else "Accuracy and sparsity")
    assert "test accuracy" in traces
