"""Splits of imported models: redrawn where the scheme is known; otherwise there are no split numbers."""

import random

import pytest
import torch
from oracles import foreign_forward
from oracles.foreign_cases import ADD, FORWARDS, P, load


def test_pythons_shuffle_is_redone(importing):
    run = importing("nanda.pth", "nanda", *ADD, "--train-frac", "0.3", "--split", "python", "--split-seed", "7")
    table = [(a, b) for a in range(P) for b in range(P)]
    random.Random(7).shuffle(table)
    trained = {(int(a), int(b)) for a, b in run.task.pairs[run.task.is_train]}
    assert trained == set(table[: int(0.3 * P * P)])
    assert run.origin.knows("task.split") and not run.origin.knows("seed")


def test_torchs_permutation_is_redone_in_their_order(importing):
    run = importing("reptheory_S4.pt", "reptheory")
    drawn = torch.randperm(24 * 24, generator=torch.Generator().manual_seed(3))[: int(0.6 * 24 * 24)]
    theirs = {(foreign_forward.S4[int(i) // 24], foreign_forward.S4[int(i) % 24]) for i in drawn}
    names = run.task.vocabulary
    assert {(names[int(a)], names[int(b)]) for a, b in run.task.pairs[run.task.is_train]} == theirs


def test_seed_0_of_rep_theory_shuffles_nothing(importing):
    run = importing("reptheory_mlp.pt", "reptheory")
    names, n_train = run.task.vocabulary, int(0.6 * 24 * 24)
    in_order = [(a, b) for a in foreign_forward.S4 for b in foreign_forward.S4][:n_train]
    assert {(names[int(a)], names[int(b)]) for a, b in run.task.pairs[run.task.is_train]} == set(in_order)


def test_train_indices_are_the_split(importing):
    run = importing("transformerlens_demo.pth", "transformerlens", *ADD)
    assert run.task.is_train.nonzero().flatten().tolist() == [0, 3, 7, 11, 24]
    assert run.config.task.train_frac == pytest.approx(0.2)


@pytest.mark.parametrize("op", ["div", "add"])
def test_groks_split_is_numpys_shuffle_of_equations(importing, tmp_path, op):
    """The split of openai/grok is redrawn: equations as strings, in its order, shuffled as a list by numpy."""
    import numpy as np

    torch.save(load("grok.pt"), tmp_path / "model.pt")
    run = importing(tmp_path / "model.pt", "grok", "--op", op, "--train-frac", "0.4")
    equations = []
    for x in range(97):
        for b in range(97):
            if op == "add":
                equations.append((x, b))
            elif b != 0:
                equations.append((b * x % 97, b))
    as_text = [f"{a} {b}" for a, b in equations]
    np.random.RandomState(0).shuffle(as_text)  # noqa: NPY002
    expected = {tuple(map(int, text.split())) for text in as_text[: round(0.4 * len(as_text))]}
    assert {(int(a), int(b)) for a, b in run.task.pairs[run.task.is_train]} == expected


@pytest.mark.parametrize("name", ["nanda.pth", "pizza.pt", "pizza_X.pt", "transformerlens.pt"])
def test_an_unknown_split_makes_no_numbers(importing, name):
    from interp.measures import measure_snapshot
    from interp.parts.memo import Unavailable

    layout, flags, _ = FORWARDS[name]
    run = importing(name, layout, *flags)
    assert run.task.is_train is None and not run.origin.knows("task.split")
    found = measure_snapshot(run.last, ["train_loss", "test_loss", "test_acc", "all_loss"])
    assert all(isinstance(found[key], Unavailable) for key in ("train_loss", "test_loss", "test_acc"))
    assert found["all_loss"] == pytest.approx(run.last.loss("all"))
