"""Importers: the committed models of every layout give the logits of a plain forward pass in that layout."""

import random

import pytest
import torch
import torch.nn.functional as F
from oracles import foreign, foreign_forward
from oracles.foreign_forward import pairs

P = foreign.P
ADD = ("--op", "add")


def load(name):
    return torch.load(foreign.HERE / name, weights_only=True)


@pytest.fixture
def importing(tmp_path, capsys):
    """``importing(name, layout, *flags)``: the run that the command makes of a fixture."""

    def go(name, layout, *flags, out="run"):
        from interp import open_run
        from interp.importers import main

        path = tmp_path / out
        status = main([str(foreign.HERE / name), "--layout", layout, "--out", str(path), *flags])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        assert printed.out.splitlines()[-1] == str(path)
        return open_run(path)

    return go


def rows(n, *extra, offset=0):
    """Token rows of all pairs: a, b (numbered from ``offset``), and what follows."""
    ab = pairs(n) + torch.tensor([0, offset])
    return torch.cat([ab, torch.tensor(extra, dtype=torch.long).expand(len(ab), -1)], dim=1)


def s4(ab):
    """Pairs of our elements (lexicographic) in their numbers."""
    theirs = torch.tensor([foreign_forward.S4.index(name) for name in sorted(foreign_forward.S4)])
    return theirs[ab]


def answers_of_s4(logits):
    return logits[:, s4(torch.arange(24))]


def grok_rows(operator, elements):
    number = foreign.GROK_TOKENS.index
    table = torch.tensor([[number("<|eos|>"), 0, number(operator), 0, number("=")]]).repeat(len(elements) ** 2, 1)
    table[:, [1, 3]] = torch.tensor([number(e) for e in elements])[pairs(len(elements))]
    columns = [*map(number, elements), number("="), number(operator), number("<|eos|>")]
    return table, columns


def grok_logits(operator, elements):
    tokens, columns = grok_rows(operator, elements)
    return foreign_forward.grok(load("grok.pt")["state_dict"], tokens)[:, columns]


FORWARDS = {
    "nanda.pth": ("nanda", ADD, lambda: foreign_forward.nanda(load("nanda.pth")["model"], rows(P, P))),
    "nanda_answers.pt": ("nanda", ADD, lambda: foreign_forward.nanda(load("nanda_answers.pt"), rows(P, P))),
    "nanda_series.pth": (
        "nanda",
        (),
        lambda: foreign_forward.nanda(load("nanda_series.pth")["state_dicts"][-1], rows(P, P)),
    ),
    "pizza.pt": ("pizza", (), lambda: foreign_forward.nanda(load("pizza.pt"), rows(P), F.gelu, 0.3)),
    "pizza_two.pt": (
        "pizza",
        (),
        lambda: foreign_forward.nanda(load("pizza_two.pt"), rows(P, 2 * P, offset=P), F.relu, 1.0),
    ),
    "pizza_linearformer.pt": (
        "pizza",
        (),
        lambda: foreign_forward.linearformer(load("pizza_linearformer.pt"), rows(P, offset=P)),
    ),
    "reptheory_D3.pt": ("reptheory", (), lambda: foreign_forward.transformerlens(load("reptheory_D3.pt"), rows(6, 6))),
    "reptheory_C5.pt": ("reptheory", (), lambda: foreign_forward.transformerlens(load("reptheory_C5.pt"), rows(5, 5))),
    "reptheory_S4.pt": (
        "reptheory",
        (),
        lambda: answers_of_s4(
            foreign_forward.transformerlens(load("reptheory_S4.pt"), torch.cat([s4(pairs(24)), rows(24, 24)[:, 2:]], 1))
        ),
    ),
    "reptheory_mlp.pt": (
        "reptheory",
        (),
        lambda: answers_of_s4(foreign_forward.one_layer_mlp(load("reptheory_mlp.pt"), s4(pairs(24)))),
    ),
    "transformerlens.pt": (
        "transformerlens",
        ADD,
        lambda: foreign_forward.transformerlens(load("transformerlens.pt"), rows(P, P), F.gelu),
    ),
    "transformerlens_demo.pth": (
        "transformerlens",
        ADD,
        lambda: foreign_forward.transformerlens(load("transformerlens_demo.pth")["checkpoints"][-1], rows(P, P)),
    ),
    "grok.pt": ("grok", (), lambda: grok_logits("/", list(map(str, range(97))))),
}
"""Fixture: layout, flags, and the logits of all pairs in our order."""
FORWARDS |= {
    f"pizza_{kind}.pt": ("pizza", (), lambda k=kind: foreign_forward.linear(load(f"pizza_{k}.pt"), pairs(P), k))
    for kind in "ABCDX"
}


def close(found, expected):
    """Sums of up to 100 products of numbers near 1, in another order."""
    return torch.allclose(
        found, expected, rtol=0, atol=200 * torch.finfo(found.dtype).eps * float(expected.abs().max())
    )


@pytest.mark.parametrize("name", FORWARDS)
def test_logits_are_those_of_a_plain_forward_pass(importing, name):
    layout, flags, expected = FORWARDS[name]
    run = importing(name, layout, *flags)
    assert run.last.logits.shape == expected().shape
    assert close(run.last.logits, expected())
    assert run.origin.kind == "imported" and run.origin.source == name and run.origin.layout == layout
    assert not run.origin.knows("optim") and not run.origin.knows("schedule") and not run.origin.knows("model.init")
    assert run.is_done and len(run.log) == 0 and run.problems() == {}


def test_fixtures_are_what_their_generator_makes():
    made = foreign.files()
    assert {p.name for p in foreign.HERE.iterdir() if p.suffix != ".json"} == set(made)

    def same(a, b):
        if isinstance(a, torch.Tensor):
            return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=1e-6)  # sines differ by machine
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else a == b

    for name, (content, _) in made.items():
        assert same(content, load(name)), f"{name}: run python tests/oracles/foreign.py"


@pytest.mark.parametrize(("name", "layout"), [("nanda.pth", "nanda"), ("pizza.pt", "pizza"), ("grok.pt", "grok")])
def test_control_heads_read_the_wrong_way_round_are_seen(importing, name, layout, monkeypatch):
    def wrong(W_O, n_heads, name):
        return W_O.reshape(n_heads, -1, W_O.shape[0]).contiguous()  # not transposed

    for module in ("nanda", "grok"):
        monkeypatch.setattr(f"interp.layouts.{module}.split_heads", wrong)
    _, flags, expected = FORWARDS[name]
    assert not close(importing(name, layout, *flags).last.logits, expected())


def test_control_another_order_of_elements_is_seen(importing, monkeypatch):
    monkeypatch.setattr("interp.layouts.reptheory.element_order", lambda name: torch.arange(24))
    for name in ("reptheory_S4.pt", "reptheory_mlp.pt"):
        assert not close(importing(name, "reptheory", out=name).last.logits, FORWARDS[name][2]())


def test_permutations_are_numbered_as_sympy_generates_them():
    from interp.layouts.reptheory import element_order
    from train.groups import group, parse_group

    assert [sorted(foreign_forward.S4)[i] for i in element_order(parse_group("S4"))] == foreign_forward.S4
    s5 = element_order(parse_group("S5"))
    assert int((s5 == 0).nonzero()) == 20  # peers.md, section 4
    assert [group("S5").elements[i] for i in s5[:3]] == ["01423", "12034", "23140"]  # (2 4 3), (0 1 2), (0 2 1 3 4)
    assert sorted(s5.tolist()) == list(range(120))
    assert sorted(element_order(parse_group("A5")).tolist()) == list(range(60))


# ---- snapshots and steps ---------------------------------------------------------------------------


def test_steps_are_updates_done(importing, tmp_path):
    assert importing("nanda.pth", "nanda", *ADD).steps == [5000]
    assert importing("nanda_series.pth", "nanda", out="series").steps == [1, 101, 201]
    assert importing("transformerlens_demo.pth", "transformerlens", *ADD, out="demo").steps == [100, 200]
    assert importing("grok.pt", "grok", out="grok").steps == [512]
    assert importing("pizza.pt", "pizza", out="none").steps == [0]
    assert importing("pizza.pt", "pizza", "--step", "20000", out="given").steps == [20_000]


def test_every_snapshot_of_a_series_is_its_own(importing):
    run = importing("nanda_series.pth", "nanda")
    assert run.config.task.op == "sub" and run.config.task.split == "python" and run.config.seed == 2
    for step, weights in zip(run.steps, load("nanda_series.pth")["state_dicts"], strict=True):
        assert close(run[step].logits, foreign_forward.nanda(weights, rows(P, P)))


def test_a_folder_is_one_run(tmp_path, importing):
    folder = tmp_path / "saved"
    folder.mkdir()
    for name, seed in (("init.pt", 1), ("model_100.pt", 2), ("model_20.pt", 3)):
        torch.save(foreign.nanda(seed), folder / name)
    (folder / "notes.txt").write_text("no model")
    run = importing(folder, "nanda", *ADD)
    assert run.steps == [0, 20, 100]
    assert close(run[20].logits, foreign_forward.nanda(foreign.nanda(3), rows(P, P)))


def test_half_precision_and_safetensors_are_read(tmp_path, importing):
    from safetensors.torch import save_file

    weights = {name: tensor.half() for name, tensor in foreign.nanda(1).items()}
    save_file(weights, tmp_path / "half.safetensors")
    run = importing(tmp_path / "half.safetensors", "nanda", *ADD)
    assert close(run.last.logits, foreign_forward.nanda({n: t.float() for n, t in weights.items()}, rows(P, P)))
    assert {t.dtype for t in run.weights(0).values()} == {torch.float32}


# ---- splits ----------------------------------------------------------------------------------------


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
    """Strings in the order that they write them, shuffled as a list, as they do."""
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
    from interp.structure import Unavailable

    layout, flags, _ = FORWARDS[name]
    run = importing(name, layout, *flags)
    assert run.task.is_train is None and not run.origin.knows("task.split")
    found = measure_snapshot(run.last, ["train_loss", "test_loss", "test_acc", "all_loss"])
    assert all(isinstance(found[key], Unavailable) for key in ("train_loss", "test_loss", "test_acc"))
    assert found["all_loss"] == pytest.approx(run.last.loss("all"))


# ---- the other tasks of openai/grok ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "operator"), [("add", "+"), ("div_or_sub", foreign.GROK_OPERATORS[0]), ("conjugate", "s5conj")]
)
def test_grok_rows_are_picked_by_operation(importing, tmp_path, op, operator):
    torch.save(load("grok.pt")["state_dict"], tmp_path / "model.pt")
    run = importing(tmp_path / "model.pt", "grok", "--op", op)
    elements = list(run.task.table.elements)
    some = torch.arange(0, len(elements) ** 2, 97)
    assert close(run.last.logits[some], grok_logits(operator, elements)[some])
    assert run.config.model.positions == "sinusoidal" and run.config.model.norm == "post"
    assert "left out" in run.origin.notes[0]


def test_grok_positions_that_are_not_sinusoids_are_kept(importing, tmp_path):
    weights = load("grok.pt")["state_dict"]
    weights["transformer.position_encoding"][:, 0] += 0.25
    torch.save(weights, tmp_path / "model.pt")
    run = importing(tmp_path / "model.pt", "grok", "--op", "sub")
    tokens, columns = grok_rows("-", list(map(str, range(97))))
    assert close(run.last.logits, foreign_forward.grok(weights, tokens)[:, columns])
    assert run.config.model.positions == "learned"
