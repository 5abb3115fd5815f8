"""The verdict on a run: by published scores, for models built by formula, and where there is no circuit to name."""

import math
from pathlib import Path
from typing import Any

import pytest
from oracles.eight import lookup
from oracles.handmade import handmade_logits, handmade_run, handmade_weights
from oracles.runs import saved
from oracles.third_party import VARIABLE, folder, published_run

PUBLISHED = [
    (0.994, 0.172, True, "pizza"),
    (0.334, 0.848, True, "clock"),
    (0.781, 0.720, True, "mixed"),
    (0.598, 0.897, True, "mixed"),
    (0.346, 0.881, True, "clock"),
    (1.000, 0.574, False, "pizza"),
    (0.992, 0.623, False, "pizza"),
    (0.992, 0.623, True, "undecided"),
    (0.019, 0.929, False, "undecided"),
]
"""Gradient symmetricity, distance irrelevance, whether attention can multiply: Zhong et al.'s models A and B, theirs of
attention rate 0.8 and 1, our default run, their linear model on summed embeddings, short runs of ours at attention rate
0 and 0.5, their linear model on concatenated embeddings."""
WHOLE = {"circularity": 0.99, "restricted_acc_logit2d_all": 1.0}


@pytest.mark.parametrize(("symmetricity", "irrelevance", "can_multiply", "kind"), PUBLISHED)
def test_the_rule_on_published_scores(symmetricity, irrelevance, can_multiply, kind):
    from interp.story.verdict import decide

    scores = {"gradient_symmetricity": symmetricity, "distance_irrelevance": irrelevance, **WHOLE}
    assert decide(scores, {}, can_multiply)[0] == kind


def test_what_keeps_the_rule_from_deciding():
    from interp.story.verdict import decide

    clock = {"gradient_symmetricity": 0.3, "distance_irrelevance": 0.85, **WHOLE}
    assert decide(clock, {}, True)[0] == "clock"
    for change in (
        {"restricted_acc_logit2d_all": 0.9},  # other frequencies are needed
        {"circularity": 0.2},  # no circles
        {"distance_irrelevance": 0.2},  # the scores contradict each other
        {"gradient_symmetricity": 0.95},
    ):
        assert decide(clock | change, {}, True)[0] == "undecided", change
    for name in clock:
        assert decide({key: value for key, value in clock.items() if key != name}, {}, True)[0] == "undecided"
    assert decide(clock, {3: "clock", 5: "pizza"}, True)[0] == "mixed"
    assert decide(clock, {3: "clock", 5: "clock"}, True)[0] == "clock"


def test_the_handmade_model_is_a_pizza(tmp_path):
    """The hand-made model, which sums the operands at even attention, is a pizza: equal gradients, |cos w(a-b)/2|."""
    from interp import open_run
    from interp.story.verdict import verdict_claim, verdict_of

    p, keys = 23, (3, 5, 9)
    run = open_run(handmade_run(tmp_path, p, keys))
    found = verdict_of(run)
    assert found.kind == "pizza" and verdict_claim(run).id == "verdict.pizza"
    assert found.scores["gradient_symmetricity"] == pytest.approx(1, abs=1e-6)
    logits = handmade_logits(p, list(keys))
    right = {(a, b): float(logits[a * p + b, (a + b) % p]) for a in range(p) for b in range(p)}
    lines = [[right[(b + d) % p, b] for b in range(p)] for d in range(p)]
    spread = sum(deviation(line) for line in lines) / p / deviation(list(right.values()))
    assert found.scores["distance_irrelevance"] == pytest.approx(spread, abs=1e-5)
    assert found.untrained["gradient_symmetricity"] == 0 and found.memorising == {}  # both learnt at one step


def deviation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((x - mean) ** 2 for x in values) / len(values))


def test_three_phases_do_not_answer_and_have_no_circuit(tmp_path):
    """Three phases (the control) alias: the model answers less than a third of the rows and has no circuit."""
    from interp.story.verdict import verdict_of
    from tests.oracles.handmade import handmade_config

    p, keys = 23, [3]
    weights = {name: tensor.float() for name, tensor in handmade_weights(p, keys, n_phases=3).items()}
    run = saved(tmp_path, handmade_config(p, keys, n_phases=3), {0: weights, 10: weights})
    assert run.last.accuracy("all") < 0.9 and verdict_of(run).kind == "none"


@pytest.mark.parametrize(
    ("shift", "op", "kind"), [(1, "add", "none"), (0, "add", "undecided"), (0, "sub", "undecided")]
)
def test_a_lookup_table_is_neither(tmp_path, shift, op, kind):
    """A lookup table is neither clock nor pizza, whether it answers its training rows alone or all rows."""
    from interp.story.verdict import verdict_of

    run = lookup(tmp_path, shift, op)
    assert run.last.accuracy("test") == (0.0 if shift else 1.0)
    assert verdict_of(run).kind == kind


def test_the_first_screen_and_the_section_say_the_same(tmp_path):
    from interp import open_run
    from interp.sections import pizza, story
    from interp.story.claims import claims_of

    run: Any = open_run(handmade_run(tmp_path, 23, (3, 5, 9)))
    first, second = (
        [claim for claim in claims_of(section.build(run)) if claim.id == id]
        for section, id in ((story, "story.circuit.pizza"), (pizza, "verdict.pizza"))
    )
    assert len(first) == len(second) == 1
    assert first[0].numbers == {**second[0].numbers, "frequencies": 3} and "**pizza**" in first[0].text
    table: Any = next(block for block in pizza.build(run) if "verdict" in getattr(block, "caption", ""))
    row = table.frame.set_index("score").loc["gradient symmetricity"]
    assert row["this run"] == pytest.approx(1) and row["untrained"] == 0
    assert (row["published pizza (A)"], row["published clock (B)"]) == (0.994, 0.334)


@pytest.mark.skipif(folder() is None, reason=f"the published models are elsewhere: set {VARIABLE} to their folder")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Pizza A", "pizza"),
        ("Nanda low_precision", "clock"),
        ("C113_T_seed1", "clock"),
        ("S5_T_seed1", "none"),
    ],
)
def test_published_models(tmp_path, name, kind):
    from interp.story.verdict import verdict_of

    source = folder()
    assert source is not None
    found = verdict_of(published_run(name, source, tmp_path))
    assert found.kind == kind
    if name == "Pizza A":
        assert found.scores["gradient_symmetricity"] == pytest.approx(0.9937, abs=5e-5)
        assert found.scores["distance_irrelevance"] == pytest.approx(0.1717, abs=5e-5)
        assert found.circles == {3: "pizza", 15: "pizza", 17: "pizza"}


@pytest.mark.skipif(folder() is None, reason=f"the published models are elsewhere: set {VARIABLE} to their folder")
def test_a_published_torus_is_not_called_a_clock(tmp_path):
    """Zhong et al.'s linear model has a clock's scores but no attention to multiply with, and is not called a clock."""
    from interp import open_run
    from interp.importers.__main__ import main
    from interp.story.verdict import verdict_of

    path = tmp_path / "torus"
    file = Path(str(folder())) / "pizza_linear_concatenated.pt"
    assert main([str(file), "--layout", "pizza", "--out", str(path)]) == 0
    found = verdict_of(open_run(path))
    assert found.kind == "undecided"
    assert found.scores["gradient_symmetricity"] == pytest.approx(0.019, abs=5e-4)
    assert found.scores["distance_irrelevance"] == pytest.approx(0.929, abs=1e-3)
