"""Importers: each layout's files against a forward pass in its own conventions, splits, and bad input."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from oracles.foreign import (
    grok_logits,
    linear_logits,
    linearformer_logits,
    nanda_logits,
    reptheory_mlp_logits,
    transformerlens_logits,
)

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def imported(tmp_path, capsys):
    """``imported(file, layout, *flags)``: the Run."""
    from interp import open_run
    from interp.importers import main

    def go(file, layout, *flags):
        out = tmp_path / "runs" / f"{Path(file).stem}-{layout}"
        status = main([str(FIXTURES / file), "--layout", layout, "--out", str(out), *map(str, flags)])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        assert captured.out.splitlines()[-1] == str(out)
        return open_run(out)

    return go


def raw(name):
    return torch.load(FIXTURES / name, weights_only=True)


def pairs(n):
    return torch.cartesian_prod(torch.arange(n), torch.arange(n))


def with_token(rows, *tokens):
    """Rows with further tokens after them."""
    return torch.cat([rows, torch.tensor([tokens]).expand(len(rows), -1)], dim=1)


def agree(found, expected):
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01


def test_nandas_layout(imported):
    run = imported("nanda.pth", "nanda", "--op", "sub")
    weights = raw("nanda.pth")["model"]
    expected = nanda_logits(weights, with_token(pairs(7), 7))
    agree(run.last.logits, expected)
    assert run.steps == [25]  # as many updates as losses
    config = run.config
    assert (config.task.op, config.task.p, config.model.outputs, config.model.d_mlp) == ("sub", 7, "tokens", 6)
    for name in ("blocks.0.attn.W_O", "unembed.W_U"):  # controls: another orientation is another model
        turned = weights | {name: weights[name].flip(0)}
        assert (nanda_logits(turned, with_token(pairs(7), 7)) - expected).abs().max() > 1e-3


def test_many_snapshots_of_one_file(imported):
    run = imported("nanda_many.pth", "nanda", "--op", "add")
    assert run.steps == [0, 100]
    for step, weights in zip(run.steps, raw("nanda_many.pth")["state_dicts"], strict=True):
        agree(run[step].logits, nanda_logits(weights, with_token(pairs(7), 7)))


def test_a_folder_with_a_file_per_step(imported, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in (0, 200, 1000):
        torch.save(raw("nanda_many.pth")["state_dicts"][step == 200], folder / f"epoch_{step}.pth")
    run = imported(folder, "nanda", "--op", "add")
    assert run.steps == [0, 200, 1000]
    assert torch.equal(run[0].logits, run[1000].logits)
    assert not torch.equal(run[0].logits, run[200].logits)


def test_pizzas_transformers(imported):
    run = imported("pizza.pt", "pizza")
    expected = nanda_logits(raw("pizza.pt"), pairs(7), causal=False, attn_rate=0.25, act=F.gelu)
    agree(run.last.logits, expected)
    assert run.steps == [30] and run.config.task.p == 7 and run.config.model.attention == "bidirectional"
    other = nanda_logits(raw("pizza.pt"), pairs(7), causal=False, attn_rate=0.5, act=F.gelu)
    assert (other - expected).abs().max() > 1e-3  # the control: another attention rate


def test_pizzas_two_vocabularies_with_an_equals_sign_and_two_layers(imported):
    run = imported("pizza_two.pt", "pizza")
    rows = pairs(7) + torch.tensor([0, 7])
    expected = nanda_logits(raw("pizza_two.pt"), with_token(rows, 14), causal=False)
    agree(run.last.logits, expected)
    assert not run.config.task.shared_vocabulary
    shared = nanda_logits(raw("pizza_two.pt"), with_token(pairs(7), 14), causal=False)
    assert (shared - expected).abs().max() > 1e-3


@pytest.mark.parametrize("kind", list("ABCDX"))
def test_pizzas_linear_models_are_mlps(imported, kind):
    from train.model import HookedMLP

    run = imported(f"linear_{kind}.pt", "pizza")
    expected = linear_logits(raw(f"linear_{kind}.pt"), pairs(7), kind)
    agree(run.last.logits, expected)
    assert isinstance(run.last.model, HookedMLP)
    assert run.config.task.shared_vocabulary == (kind != "X")
    if kind in "BC":
        other = linear_logits(raw(f"linear_{kind}.pt"), pairs(7), "B" if kind == "C" else "C")
        assert (other - expected).abs().max() > 1e-3


def test_pizzas_padded_linear_model(imported):
    run = imported("linearformer.pt", "pizza")
    agree(run.last.logits, linearformer_logits(raw("linearformer.pt"), pairs(7)))


def test_reptheorys_transformer_in_its_own_order_of_permutations(imported):
    """Labels, logits and split are compared by what the tokens stand for, in sympy's order."""
    from sympy.combinatorics.named_groups import SymmetricGroup

    from train.groups import group

    run = imported("reptheory.pt", "reptheory")
    made: Any = SymmetricGroup(4)
    listed = list(made.generate_schreier_sims())
    names = ["".join(map(str, element.array_form)) for element in listed]
    assert names != list(group("S4").elements)
    ours = [group("S4").elements.index(name) for name in names]
    n = len(listed)
    theirs = transformerlens_logits(raw("reptheory.pt"), with_token(pairs(n), n))
    torch.manual_seed(3)
    trained = set(torch.randperm(n * n)[: int(0.6 * n * n)].tolist())
    for row in range(0, n * n, 17):
        a, b = divmod(row, n)
        mine = ours[a] * n + ours[b]
        agree(run.last.logits[mine][ours], theirs[row])
        assert run.task.labels[mine, 0] == ours[names.index("".join(map(str, (listed[a] * listed[b]).array_form)))]
        assert bool(run.task.is_train[mine]) == (row in trained)
    assert int(run.task.is_train.sum()) == len(trained)
    assert run.steps == [40] and run.config.task.train_frac == 0.6


def test_reptheorys_mlp(imported):
    run = imported("reptheory_mlp.pt", "reptheory")
    agree(run.last.logits, reptheory_mlp_logits(raw("reptheory_mlp.pt"), pairs(8)))
    assert run.config.task.group == "D4" and not run.config.task.shared_vocabulary
    assert run.config.model.arch == "mlp"


def test_reptheorys_seed_0_is_not_shuffled(imported, tmp_path):
    config = json.loads((FIXTURES / "reptheory_mlp.json").read_text()) | {"seed": 0}
    (tmp_path / "zero.json").write_text(json.dumps(config))
    run = imported("reptheory_mlp.pt", "reptheory", "--config", tmp_path / "zero.json")
    assert run.task.is_train.tolist() == [row < int(0.6 * 64) for row in range(64)]


def test_transformerlens_state_dicts(imported):
    run = imported("transformerlens.safetensors", "transformerlens", "--op", "add", "--step", 7)
    from safetensors.torch import load_file

    agree(
        run.last.logits,
        transformerlens_logits(load_file(FIXTURES / "transformerlens.safetensors"), with_token(pairs(7), 7)),
    )
    assert run.steps == [7] and run.config.model.biases == "all" and run.config.model.outputs == "answers"
    many = imported("transformerlens_many.pth", "transformerlens", "--op", "mul", "--p", 7)
    assert many.steps == [0, 100]
    expected = transformerlens_logits(raw("transformerlens_many.pth")["model_checkpoints"][1], with_token(pairs(7), 7))
    agree(many.last.logits, expected)


@pytest.mark.parametrize(
    ("op", "first", "operator"), [("add", 22, 6), ("div", 22, 10), ("compose", 119, 13), ("x3_xy", 22, 21)]
)
def test_openai_groks_layout(imported, op, first, operator):
    """Tokens: eos 0, "=" 1, operators from 2 in order of their text, residues from 22, permutations from 119."""
    run = imported("grok.pt", "grok", "--op", op)
    n = run.task.table.n
    rows = pairs(n)[:: 11 if n == 97 else 17] + first
    fixed = torch.tensor([0, operator, 1]).expand(len(rows), -1)
    theirs = grok_logits(
        raw("grok.pt")["state_dict"],
        torch.stack([fixed[:, 0], rows[:, 0], fixed[:, 1], rows[:, 1], fixed[:, 2]], dim=1),
    )
    found = run.last.logits[:: 11 if n == 97 else 17]
    agree(found[:, :n], theirs[:, first : first + n])
    agree(found[:, n:], theirs[:, [1, operator, 0]])
    assert run.steps == [12] and run.config.model.norm == "post"
    assert "logits of the" in run.origin.notes[0].lower()


# ---- what is known and what is not -----------------------------------------------------------------


def test_origin_and_what_is_unknown(imported):
    import hashlib

    run = imported("nanda.pth", "nanda")
    assert run.origin.kind == "imported" and run.origin.source == "nanda.pth" and run.origin.layout == "nanda"
    assert run.origin.sha256 == hashlib.sha256((FIXTURES / "nanda.pth").read_bytes()).hexdigest()
    assert set(run.origin.unknown) >= {"optim", "schedule", "seed", "task.train_frac", "task.split"}
    assert "taken to be a + b" in run.origin.notes[0]
    assert run.task.is_train is None and len(run.log) == 0


@pytest.mark.parametrize("scheme", ["python", "torch"])
def test_a_given_split_is_that_scheme(imported, scheme):
    flags = ("--op", "div", "--train-frac", 0.4, "--split", scheme, "--split-seed", 5)
    run = imported("nanda.pth", "nanda", *flags)
    defined = [(a, b) for a in range(7) for b in range(1, 7)]
    if scheme == "python":
        random.Random(5).shuffle(defined)
    else:
        torch.manual_seed(5)
        defined = [defined[i] for i in torch.randperm(len(defined)).tolist()]
    expected = set(defined[: int(0.4 * len(defined))])
    assert {tuple(pair) for pair in run.task.pairs[run.task.is_train].tolist()} == expected
    assert run.config.task.train_frac == 0.4


# ---- bad input -------------------------------------------------------------------------------------


def damaged(change):
    contents = raw("nanda.pth")
    change(contents["model"])
    return contents


class Stranger:
    """Something that only code can build."""


BAD = {
    "missing": lambda w: w.pop("blocks.0.mlp.W_out"),
    "extra": lambda w: w.update({"blocks.0.mlp.W_gate": torch.zeros(2)}),
    "axes": lambda w: w.update({"embed.W_E": torch.zeros(3)}),
    "shape": lambda w: w.update({"blocks.0.mlp.b_in": torch.zeros(5)}),
    "heads": lambda w: w.update({"blocks.0.attn.W_O": torch.zeros(8, 6)}),
    "not finite": lambda w: w["unembed.W_U"].fill_(float("nan")),
}


@pytest.mark.parametrize("what", BAD)
def test_damaged_weights_are_one_line_and_status_3(what, tmp_path, capsys):
    from interp.importers import main

    torch.save(damaged(BAD[what]), tmp_path / "bad.pth")
    assert main([str(tmp_path / "bad.pth"), "--layout", "nanda", "--out", str(tmp_path / "runs" / "x")]) == 3
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1 and captured.out == ""
    assert not (tmp_path / "runs").exists()
    names = {"missing": "W_out", "extra": "W_gate", "axes": "W_E", "shape": "b_in", "heads": "W_O"}
    assert names.get(what, "W_U") in captured.err


def test_a_file_that_needs_code_is_not_loaded(tmp_path, capsys):
    from interp.importers import main

    torch.save({"model": raw("nanda.pth")["model"], "config": Stranger()}, tmp_path / "stranger.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("stranger.pth", "text.pth"):
        assert main([str(tmp_path / name), "--layout", "nanda", "--out", str(tmp_path / "runs" / "x")]) == 3
        captured = capsys.readouterr()
        assert len(captured.err.splitlines()) == 1 and name in captured.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["nanda.pth", "--layout", "nandas"], 2, "unknown layout 'nandas'; did you mean 'nanda'?"),
        (["nanda.pth"], 2, "--layout"),
        (["nothing.pth", "--layout", "nanda"], 2, "does not exist"),
        (["pizza.pt", "--layout", "nanda"], 3, "W_pos"),
        (["linear_A.pt", "--layout", "reptheory", "--p", "7"], 3, "embed.W_E"),
        (
            ["reptheory_mlp.pt", "--layout", "reptheory", "--config", "linear_A.json"],
            2,
            "the group is not in the weights",
        ),
        (["grok.pt", "--layout", "grok"], 2, "give --op"),
        (["grok.pt", "--layout", "grok", "--op", "x2_y2", "--p", "11"], 2, "mod 97"),
        (["nanda.pth", "--layout", "nanda", "--split", "torch"], 2, "--split-seed"),
        (["nanda.pth", "--layout", "nanda", "--p", "9"], 3, "W_E"),
        (["nanda.pth", "--layout", "nanda", "--op", "divide"], 2, "unknown operation"),
        (["linear_B.pt", "--layout", "pizza", "--config", "reptheory.json"], 2, "model_type"),
    ],
)
def test_bad_input(argv, status, says, tmp_path, capsys):
    from interp.importers import main

    argv = [str(FIXTURES / arg) if (FIXTURES / arg).is_file() else arg for arg in argv]
    assert main([*argv, "--out", str(tmp_path / "runs" / "x")]) == status
    captured = capsys.readouterr()
    assert says in captured.err and len(captured.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_nothing_in_a_config_is_evaluated(tmp_path, capsys):
    """A config whose function would write a file if it were."""
    from interp.importers import main

    shutil.copy(FIXTURES / "pizza.pt", tmp_path / "pizza.pt")
    config = json.loads((FIXTURES / "pizza.json").read_text())
    config["funcs"] = f"open({str(tmp_path / 'written')!r}, 'w')"
    (tmp_path / "pizza.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "pizza.pt"), "--layout", "pizza", "--out", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "written").exists()


def test_fixtures_are_what_their_script_makes():
    """Committed files and the generator agree, so nobody has to trust bytes."""
    import runpy

    made = runpy.run_path(str(FIXTURES / "make.py"))["files"]()
    assert {path.name for path in FIXTURES.iterdir() if path.is_file()} == set(made) | {"make.py"}
    for name, weights in (("pizza.pt", made["pizza.pt"]), ("grok.pt", made["grok.pt"]["state_dict"])):
        found = raw(name)
        found = found.get("state_dict", found)
        assert set(found) == set(weights)
        for tensor in weights:
            torch.testing.assert_close(found[tensor], weights[tensor])
