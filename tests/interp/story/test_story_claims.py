"""The claims that a page makes about runs of which little can be said, with their numbers; their wording is free."""

import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from oracles.eight import KEYS, LEARNT_AT, NAMES, P

LOG = {"curves.test_loss", "curves.train_loss"}
TRAINED = {"progress.test_loss", "progress.train_loss"}
NO_KEYS = {"keys.none", "progress.gini_W_L", "progress.neuron_fraction_fve85"}
PAGE = {"attention.mean", "grid.cells", "norms.total", "norms.tensor", "patching.clean"}
WHATIF = {"whatif.stages", "whatif.rounding", "whatif.answer_0"}
CIRCLES = {"circles.W_E", "circles.W_L"}
UNLEARNT = {"story.not_fitted", "story.not_understood", "story.circuit.none", "story.no_carrier"}
SPECTRA = {"spectra.W_E", "spectra.W_U", "spectra.W_L"}
MAPS = {"maps.PCA", "maps.t-SNE", "maps.UMAP"}
LAW = {
    *("logits.profile", "logits.by_answer", "neurons.clusters", "neurons.share"),
    *("pizza.gradient_symmetricity", "pizza.distance_irrelevance", "pizza.circularity"),
}
KEYED = {
    *("progress.restricted_loss_logit2d_all", "progress.excluded_loss_logit2d_train", "progress.costliest"),
    *("progress.logit_fve", "logits.coefficients", "keyfreqs.came", "keyfreqs.settled"),
}
NEVER_KEYED = {*NO_KEYS, "neurons.no_cluster", "progress.no_transition"}
CLAIMS = {
    "grokked": {
        *(
            LOG
            | TRAINED
            | PAGE
            | SPECTRA
            | MAPS
            | LAW
            | KEYED
            | {"progress.gini_W_L", "progress.neuron_fraction_fve85"}
        ),
        *("outcome.fitted", "outcome.grokked", "verdict.pizza", "verdict.baseline", "verdict.circularity", "keys"),
        *("progress.transition", "progress.excluded_turn", "neurons.representatives", "pizza.circles"),
        *("ablations.worst", "patching.snapshots", "story.memorised", "story.understood", "story.circuit.pizza"),
        *(CIRCLES | {"story.first_carrier", "story.none_dropped", "whatif.answer_1"}),
    },
    "never": {
        *(LOG | TRAINED | PAGE | SPECTRA | MAPS | LAW | NEVER_KEYED),
        *("outcome.not_fitted", "curves.test_acc", "verdict.none", "ablations.worst"),
        *(CIRCLES | UNLEARNT | {"patching.snapshots"}),
    },
    "memorising": {
        *(LOG | TRAINED | MAPS | LAW | KEYED | {"progress.gini_W_L", "progress.neuron_fraction_fve85"}),
        *("spectra.W_E", "spectra.W_L", "grid.cells", "norms.total", "norms.tensor"),
        *("outcome.fitted", "curves.test_acc", "verdict.none", "keys", "keys.no_circuit"),
        *("story.memorised", "story.not_understood", "story.circuit.none", "story.first_carrier", "story.none_dropped"),
        *(CIRCLES | {"progress.no_transition", "neurons.no_cluster", "ablations.none"}),
    },
    "one_snapshot": {
        *(TRAINED | PAGE | SPECTRA | MAPS | LAW | NO_KEYS | {"neurons.no_cluster", "ablations.worst"}),
        *("outcome.not_evaluated", "outcome.scores", "verdict.none", "story.circuit.none", "story.test_loss"),
        *CIRCLES,
    },
    "unfinished": {
        *(LOG | TRAINED | PAGE | SPECTRA | MAPS | LAW | NEVER_KEYED | {"ablations.worst", "patching.snapshots"}),
        *(CIRCLES | UNLEARNT),
        *("outcome.not_fitted", "outcome.unfinished", "curves.test_acc", "verdict.none"),
    },
    "s5": {
        *(TRAINED | PAGE | MAPS | {f"{name}.irreps" for name in SPECTRA} | {"keys.none", "progress.no_transition"}),
        *("progress.train_acc", "progress.test_acc"),
        *("outcome.not_evaluated", "outcome.scores", "verdict.none", "ablations.none", "patching.snapshots"),
        *("story.circuit.none", "story.test_loss", "story.no_carrier", "keyfreqs.no_irrep"),
    },
    "div_or_sub": {
        *(TRAINED | PAGE | MAPS | SPECTRA | {"keys.none", "progress.gini_W_L", "progress.no_transition"}),
        *("outcome.not_evaluated", "outcome.scores", "verdict.none", "ablations.worst", "patching.snapshots"),
        *(CIRCLES | {"story.circuit.none", "story.test_loss"}),
    },
    "mlp": {
        *(TRAINED | MAPS | LAW | NEVER_KEYED | {"spectra.W_E", "spectra.W_L", "grid.cells", "norms.total"}),
        *("outcome.not_evaluated", "outcome.scores", "verdict.none", "pizza.circles", "patching.snapshots"),
        *(CIRCLES | {"story.circuit.none", "story.test_loss", "story.no_carrier", "norms.tensor"}),
    },
    "imported": {
        *(PAGE | SPECTRA | MAPS | LAW | NO_KEYS | {"neurons.no_cluster", "ablations.worst"}),
        *(CIRCLES | {"story.circuit.none", "story.test_loss", "story.imported"}),
        *(
            "curves.listed_test_loss",
            "curves.listed_train_loss",
            "outcome.imported",
            "outcome.scores",
            "outcome.step_unknown",
            "outcome.split_unknown",
            "verdict.none",
        ),
    },
}
"""Every claim of each run's page."""
FORBIDDEN = re.compile(r"\b(nan|none of 0|None|inf|0 of 0|0 of the 0)\b|: \.|\(\)|  |\bof 0 ")


def claims(pages, name: str) -> dict[str, Any]:
    """The claims of a page by id; a claim that is made twice must have equal numbers."""
    from interp.story.claims import claims_of

    found: dict[str, Any] = {}
    for blocks in pages(name).values():
        for claim in claims_of(blocks):
            assert claim.id not in found or found[claim.id].numbers == claim.numbers, claim.id
            found[claim.id] = claim
    return found


def accuracy(run: Any, subset: str) -> float:
    """Share of right answers at the last snapshot, row by row, from the hooked model's own logits."""
    rows = [i for i in range(len(run.task.labels)) if run.task.is_defined[i]]
    if subset != "all":
        rows = [i for i in rows if bool(run.task.is_train[i]) == (subset == "train")]
    logits = run.last.model(run.task.tokens)[:, -1].tolist()
    right = [max(range(len(logits[i])), key=logits[i].__getitem__) == int(run.task.labels[i, 0]) for i in rows]
    return sum(right) / len(right)


@pytest.mark.parametrize("name", NAMES)
def test_which_claims_a_page_makes(pages, name):
    assert set(claims(pages, name)) == CLAIMS[name] | WHATIF


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_speaks_of_what_is_not_there(pages, name):
    """No text quotes NaN, None, a share of 0 or a change from a step to itself; every takeaway is a claim."""
    from interp.story.claims import Said

    for section, blocks in pages(name).items():
        for block in blocks:
            for field in dataclasses.fields(block):
                value = getattr(block, field.name)
                for text in value if field.name == "texts" and value else (value,):
                    if isinstance(text, str) and field.name != "script":
                        assert not FORBIDDEN.search(text), (section, text)
                        for a, b in re.findall(r"at step ([\d,]+) to [^.;]* at step ([\d,]+)", text):
                            assert a != b, (section, text)
            if type(block).__name__ == "Figure":
                assert isinstance(block.takeaway, Said) and block.takeaway.claims, (section, block.heading)


@pytest.mark.parametrize("name", NAMES)
def test_accuracies_and_chance_are_those_of_a_loop_over_the_rows(runs, pages, name):
    run, found = runs[name], claims(pages, name)
    (verdict,) = (claim for id, claim in found.items() if id.startswith("verdict.") and "all_acc" in claim.numbers)
    assert verdict.numbers["all_acc"] == pytest.approx(accuracy(run, "all"))
    answers = [int(label) for label, defined in zip(run.task.labels[:, 0], run.task.is_defined, strict=True) if defined]
    assert verdict.numbers["chance"] == pytest.approx(max(map(answers.count, set(answers))) / len(answers))
    assert ("test_acc" in verdict.numbers) == (name != "imported")
    if name != "imported":
        assert verdict.numbers["test_acc"] == pytest.approx(accuracy(run, "test"))
    cells = found["grid.cells"].numbers
    right = sum(count for state, count in cells.items() if "right" in state)
    assert right == round(accuracy(run, "all") * len(answers))


def test_what_the_runs_are(runs):
    """The oracle's runs are as described: the memoriser answers no test row, the control all, the others by chance."""
    assert accuracy(runs["memorising"], "train") == 1 and accuracy(runs["memorising"], "test") == 0
    assert accuracy(runs["grokked"], "test") == 1
    assert all(accuracy(runs[name], "all") < 0.25 for name in ("never", "one_snapshot", "unfinished", "s5", "imported"))


def test_steps_are_between_evaluations(pages):
    grokked = claims(pages, "grokked")
    assert grokked["outcome.fitted"].numbers == {"below": 0, "at": 10}
    numbers = grokked["outcome.grokked"].numbers
    assert (numbers["below"], numbers["at"]) == (10, LEARNT_AT)
    assert (numbers["delay_least"], numbers["delay_most"]) == (0, LEARNT_AT)
    assert claims(pages, "unfinished")["outcome.unfinished"].numbers == {"step": 2, "asked": 100}


def restricted(logits: Any, ks: Any) -> float:
    """Mean loss over all pairs of the logits' parts at cos and sin of w(a+b), by plain sums."""
    mean = [[0.0] * P for _ in range(P)]
    for a in range(P):
        for b in range(P):
            for c in range(P):
                mean[(a + b) % P][c] += float(logits[a * P + b][c]) / P
    total = 0.0
    for t in range(P):
        row = []
        for c in range(P):
            value = sum(mean[s][c] for s in range(P)) / P
            for k in ks:
                for wave in (math.cos, math.sin):
                    part = sum(wave(2 * math.pi * k * s / P) * mean[s][c] for s in range(P)) * 2 / P
                    value += part * wave(2 * math.pi * k * t / P)
            row.append(value)
        top = max(row)
        total += top + math.log(sum(math.exp(x - top) for x in row)) - row[t]
    return total / P


def test_the_null_is_the_same_loss_at_random_frequencies(runs, pages):
    """The null's losses equal plain sums over the model's logits, at the drawn frequencies and at the key ones."""
    from interp.story.over_training import DRAWS, random_frequencies

    run, numbers = runs["grokked"], claims(pages, "grokked")["progress.restricted_loss_logit2d_all"].numbers
    draws = random_frequencies(run)
    assert draws == random_frequencies(type(run)(run.store))  # the same at every opening
    assert 1 < len(draws) <= DRAWS and len(set(draws)) == len(draws)
    assert all(len(set(ks)) == len(KEYS) and not set(ks) & set(KEYS) for ks in draws)
    logits = run.last.logits[:, :P].double().tolist()
    null = [restricted(logits, ks) for ks in draws]
    assert numbers["last"] == pytest.approx(restricted(logits, KEYS), abs=1e-9)
    expected = {"null_mean": sum(null) / len(null), "null_min": min(null), "null_max": max(null)}
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert numbers["draws"] == len(draws)
    assert numbers["uniform"] == pytest.approx(math.log(P)) == pytest.approx(numbers["untrained"])
    assert numbers["last"] < numbers["null_min"]  # the circuit's frequencies are special


def test_a_memorisers_frequencies_are_labelled(pages):
    numbers = claims(pages, "memorising")["keys.no_circuit"].numbers
    assert (numbers["train_acc"], numbers["test_acc"]) == (1, 0)
    assert "keys.no_circuit" not in claims(pages, "grokked")


def test_the_null_is_drawn_dashed(pages):
    from interp.story.words import short

    (losses, *_) = [block for block in pages("grokked")["progress"] if type(block).__name__ == "Figure"]
    lines = {trace.name: trace for trace in losses.fig.data}
    for name in ("restricted_loss_logit2d_all", "excluded_loss_logit2d_train"):
        null = lines[f"{short(name)}, random"]
        assert null.line.dash == "dash" and null.line.color == lines[short(name)].line.color


def test_one_value_is_no_change():
    from interp.story.claims import changed

    rises = changed("x", "It", [0, 10], [1.0, 2.0])
    assert rises is not None and rises.numbers == {"first": 1.0, "last": 2.0, "first_step": 0, "last_step": 10}
    one = changed("x", "It", [0, 10], [float("nan"), 2.0])
    assert one is not None and one.numbers == {"last": 2.0}
    assert "rises" in rises.text and "rises" not in one.text
    same = changed("x", "It", [0, 10], [1.0001, 1.0002])
    assert same is not None and "rises" not in same.text  # 1 to 1 is no rise
    assert changed("x", "It", [0, 10], [float("nan")] * 2) is None is changed("x", "It", [], [])


def test_a_claim_cannot_quote_what_does_not_exist():
    from interp.story.claims import Claim, claims_of, said

    with pytest.raises(AssertionError, match="does not exist"):
        Claim("x", "It is nan.", {"it": float("nan")})
    found = said("Method.", None, Claim("x", "It is 1.", {"it": 1}), "")
    assert found == "Method. It is 1." and [claim.id for claim in found.claims] == ["x"]
    from interp.html.blocks import Text

    assert [claim.id for claim in claims_of([Text(found), Text("Method.")])] == ["x"]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_files_in_numpy(runs, pages, name):
    """Claims quote the log's curves, spectra by an FFT, and norms and cells of the table computed from the weights."""
    run, found, held = runs[name], claims(pages, name), 0
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()] if len(run.log) else []
    weights = {step: {n: t.double().numpy() for n, t in run.weights(step).items()} for step in run.steps}
    for column in ("train_loss", "test_loss", "train_acc", "test_acc"):
        for prefix in ("curves.", "curves.listed_"):
            claim, values = found.get(prefix + column), [row[column] for row in log if column in row]
            if claim is not None:
                assert claim.numbers["last"] == pytest.approx(values[-1], rel=1e-9), claim
                assert "first" not in claim.numbers or claim.numbers["first"] == pytest.approx(values[0], rel=1e-9)
                held += 1
    n, last = len(run.task.table.elements), run.steps[-1]
    energy, ks = np.zeros(1), {}
    if "spectra.W_E" in found and run.config.task.op == "add":
        W_E = weights[last]["embed.W_E"][:n]
        energy = (np.abs(np.fft.rfft(W_E, axis=0)) ** 2).sum(axis=1)[1:] * 2 / n / (W_E**2).sum()
        numbers = found["spectra.W_E"].numbers
        ks = {int(key[2:]): value for key, value in numbers.items() if key.startswith("k=")}
        assert ks == pytest.approx({k: energy[k - 1] for k in ks}, rel=1e-6)
        assert numbers["share"] == pytest.approx(np.sort(energy)[-len(ks) :].sum(), rel=1e-6)
        held += 1
    if "norms.total" in found:
        total = math.sqrt(sum((w**2).sum() for w in weights[last].values()))
        assert found["norms.total"].numbers["last"] == pytest.approx(total, rel=1e-6)
        held += 1
    if "grid.cells" in found:
        right = (run.last.logits.argmax(dim=-1) == run.task.labels[:, 0]).numpy()
        defined = run.task.is_defined.numpy()
        subsets = {"all": defined} if run.task.is_train is None else {}
        if run.task.is_train is not None:
            train = run.task.is_train.numpy()
            subsets = {"train": defined & train, "test": defined & ~train}
        numbers = found["grid.cells"].numbers
        for subset, rows in subsets.items():
            told = [v for k, v in numbers.items() if k in (f"{subset}, right", "right")]
            assert told == [int((right & rows).sum())], numbers
        held += 1
    assert held >= (2 if name != "one_snapshot" else 1), "nothing was compared"
    if name == "grokked":  # control: other rows of the log, and other frequencies, have other numbers
        assert log[0]["test_loss"] != pytest.approx(found["curves.test_loss"].numbers["last"], rel=1e-3)
        assert energy[0] != pytest.approx(max(ks.values()), rel=1e-3)
