"""Bad input to the importers: one line, the right status, and nothing written."""

import json
import math
import shutil

import pytest
import torch
from oracles import foreign
from oracles.foreign_cases import FORWARDS


@pytest.fixture
def refused(tmp_path, capsys):
    """``refused(content, layout, *flags, told=None)``: (status, the line) of importing ``content``."""

    def go(content, layout, *flags, told=None):
        from interp.importers.__main__ import main

        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        path = source / "model.pt"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        if told is not None:
            path.with_suffix(".json").write_text(told if isinstance(told, str) else json.dumps(told))
        out = tmp_path / "out"
        status = main([str(path), "--layout", layout, "--out", str(out / "run"), *flags])
        printed = capsys.readouterr()
        assert not out.exists(), "something was written"
        assert printed.out == "" and len(printed.err.splitlines()) == 1, printed.err
        assert printed.err.startswith("error: ")
        return status, printed.err

    return go


class Stranger:
    """A class that no file of tensors needs."""


def without(weights, name):
    return {key: tensor for key, tensor in weights.items() if key != name}


def changed(weights, name, tensor):
    return {**weights, name: tensor}


NANDA, PIZZA = foreign.nanda(1), foreign.nanda(3, foreign.P, 2)
C5 = foreign.reptheory_config("CyclicGroup", 5)
GROK = foreign.grok(1)
TL = {"act_fn": "relu", "normalization_type": None}
ADD = ("--op", "add")

FILES = {
    "missing": ("nanda", ADD, None, without(NANDA, "blocks.0.attn.W_O"), "blocks.0.attn.W_O is missing"),
    "missing bias": ("nanda", ADD, None, without(NANDA, "blocks.0.mlp.b_out"), "blocks.0.mlp.b_out is missing"),
    "extra": ("nanda", ADD, None, changed(NANDA, "ln.w", torch.ones(4)), "ln.w (4,) has no place"),
    "extra bias": ("nanda", ADD, None, changed(NANDA, "blocks.0.attn.b_O", torch.ones(4)), "has no place"),
    "axes": ("nanda", ADD, None, changed(NANDA, "blocks.0.attn.W_K", torch.ones(6, 4)), "blocks.0.attn.W_K has shape"),
    "shape": ("nanda", ADD, None, changed(NANDA, "blocks.0.attn.W_K", torch.ones(2, 4, 3)), "W_K has shape"),
    "heads": ("nanda", ADD, None, changed(NANDA, "blocks.0.attn.W_O", torch.ones(4, 5)), "not a multiple of 2 heads"),
    "nan": ("nanda", ADD, None, changed(NANDA, "blocks.0.mlp.b_in", torch.full((6,), torch.nan)), "not finite"),
    "inf": ("nanda", ADD, None, changed(NANDA, "unembed.W_U", torch.full((4, 6), torch.inf)), "not finite"),
    "integers": ("nanda", ADD, None, changed(NANDA, "embed.W_E", torch.ones(4, 6).long()), "embed.W_E holds"),
    "logits": ("nanda", ADD, None, changed(NANDA, "unembed.W_U", torch.ones(4, 3)), "3 logits"),
    "p too large": ("nanda", ADD, None, foreign.nanda(1, 5_002), "p = 5001"),
    "positions": ("nanda", ADD, None, foreign.nanda(1, n_ctx=4), "4 positions"),
    "p": ("nanda", (*ADD, "--p", "113"), None, NANDA, "makes p = 5"),
    "whole module": ("nanda", ADD, None, torch.nn.Linear(2, 2), "is missing"),
    "module without": ("nanda", ADD, None, torch.nn.ReLU(), "a whole pickled module"),
    "no module": ("nanda", ADD, None, Stranger(), "an object of"),
    "no tensors": ("nanda", ADD, None, {"train_losses": [1.0]}, "a dictionary with 'train_losses'"),
    "a list": ("nanda", ADD, None, [NANDA], "holds a list"),
    "rubbish": ("nanda", ADD, None, b"not a model", "damaged"),
    "cut off": ("nanda", ADD, None, (foreign.HERE / "nanda.pth").read_bytes()[:700], "cut off"),
    "epochs": ("nanda", ADD, None, {"state_dicts": [NANDA, NANDA], "epochs": [0]}, "have one whole number for each"),
    "same epoch": ("nanda", ADD, None, {"state_dicts": [NANDA, NANDA], "epochs": [7, 7]}, "1 different steps"),
    "json": ("nanda", ADD, "{p: 5", NANDA, "is not JSON"),
    "json too deep": ("nanda", ADD, "[" * 100_000, NANDA, "is not JSON"),
    "json list": ("nanda", ADD, "[5]", NANDA, "holds a list"),
    "sine": ("pizza", (), foreign.pizza_config(act_fn="Sine"), PIZZA, "'Sine'"),
    "lambda": ("pizza", (), foreign.pizza_config(funcs="__import__('os').abort()"), PIZZA, "which is not run"),
    "C": ("pizza", (), foreign.pizza_config(C=4), PIZZA, "5 tokens"),
    "diff_vocab": ("pizza", (), foreign.pizza_config(diff_vocab=1), PIZZA, "diff_vocab is 1"),
    "model_type": ("pizza", (), {"model_type": "D"}, foreign.linear("A", 1), "the tensors are those of A"),
    "bilinear": ("reptheory", (), C5, without(foreign.one_layer_mlp(1, 5), "W"), "BilinearNet"),
    "bilinear named": ("reptheory", (), {**C5, "model": "BilinearNet"}, foreign.reptheory(1, 5), "BilinearNet"),
    "group size": ("reptheory", (), C5, foreign.reptheory(1, 6), "a group of 5 elements"),
    "mlp size": ("reptheory", (), C5, foreign.one_layer_mlp(1, 6), "do not fit a OneLayerMLP"),
    "family": ("reptheory", (), {**C5, "group": "Monster"}, foreign.reptheory(1, 5), "group 'Monster'"),
    "A4": ("reptheory", ("--group", "A4"), None, foreign.reptheory(1, 12), "order of the elements of A4"),
    "duplicate": ("reptheory", (), C5, changed(foreign.reptheory(1, 5), "x_embed", torch.ones(6, 4)), "x_embed"),
    "solu": ("transformerlens", ADD, {**TL, "act_fn": "solu_ln"}, foreign.transformerlens(1, 6, 6), "solu_ln"),
    "rms": ("transformerlens", ADD, {**TL, "normalization_type": "RMS"}, foreign.transformerlens(1, 6, 6), "'RMS'"),
    "scale": ("transformerlens", ADD, {**TL, "attn_scale": 2.0, "d_head": 3}, foreign.transformerlens(1, 6, 6), "2.0"),
    "norms": ("transformerlens", ADD, {**TL, "normalization_type": "LN"}, foreign.transformerlens(1, 6, 6), "ln1"),
    "vocabulary": ("transformerlens", ADD, {**TL, "p": 7}, foreign.transformerlens(1, 6, 6), "do not explain"),
    "operator": ("grok", (), {"math_operator": "sort"}, foreign.grok(1), "its operator is 'sort'"),
    "grok vocabulary": ("grok", ADD, None, changed(GROK, "transformer.linear.weight", torch.ones(99, 6)), "99 tokens"),
    "grok head": (
        "grok",
        ADD,
        None,
        without(foreign.grok(1), "transformer.decoder.blocks.1.self_attn.attn_heads.0.Wk.weight"),
        "Wk.weight is missing",
    ),
}  # fmt: skip
FLAGS = {
    "layout": ("nada", ADD, None, NANDA, "unknown layout 'nada'; did you mean 'nanda'?"),
    "no operation": ("nanda", (), None, NANDA, "give --op"),
    "operation": ("nanda", ("--op", "ad"), None, NANDA, "did you mean 'add'?"),
    "flag against file": ("pizza", ("--p", "7"), foreign.pizza_config(), PIZZA, "--p says 7, but the file says 5"),
    "train_frac": ("nanda", (*ADD, "--train-frac", "1.5"), None, NANDA, "between 0 and 1"),
    "half a split": ("nanda", (*ADD, "--split", "python", "--split-seed", "0"), None, NANDA, "give --train-frac too"),
    "split": ("nanda", (*ADD, "--split", "numpy"), None, NANDA, "--split"),
    "group": ("nanda", (*ADD, "--group", "S3"), None, NANDA, "give --p, not --group"),
    "step": ("nanda", (*ADD, "--step", "-1"), None, NANDA, "--step -1"),
    "no config": ("nanda", (*ADD, "--config", "none.json"), None, NANDA, "--config none.json is not there"),
    "losses and step": ("nanda", (*ADD, "--step", "3"), None, {"model": NANDA, "train_losses": [1.0]}, "leave --step"),
    "step twice": ("nanda", (*ADD, "--step", "3"), None, {"model": NANDA, "epoch": 9}, "leave --step out"),
    "attn_coeff": ("pizza", (), None, PIZZA, "give --config"),
    "B or C": ("pizza", (), None, foreign.linear("B", 1), "B and C"),
    "no group": ("reptheory", (), None, foreign.reptheory(1, 5), "do not record the group"),
    "not composed": ("reptheory", ("--op", "mul"), C5, foreign.reptheory(1, 5), "leave --op out"),
    "act_fn": ("transformerlens", ADD, None, foreign.transformerlens(1, 6, 6), "does not record act_fn"),
    "grok": ("grok", ("--op", "sandwich", "--p", "97"), None, foreign.grok(1), "leave --p and --group out"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_do_not_fit_are_status_3(refused, case):
    layout, flags, told, content, says = FILES[case]
    status, line = refused(content, layout, *flags, told=told)
    assert says in line
    assert status == 3


@pytest.mark.parametrize("case", FLAGS)
def test_what_the_caller_has_to_mend_is_status_2(refused, case):
    layout, flags, told, content, says = FLAGS[case]
    status, line = refused(content, layout, *flags, told=told)
    assert says in line
    assert status == 2


def test_no_file_and_no_flags(tmp_path, capsys):
    from interp.importers.__main__ import main

    assert main([]) == 2
    assert main([str(tmp_path / "none.pt"), "--layout", "nanda", "--out", str(tmp_path / "run")]) == 2
    assert "does not exist" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "says"),
    [((), "holds no .safetensors, .pt"), (("last.pt",), "no step in its name"), (("1.pt", "a1.pt"), "second file")],
)
def test_folders_that_are_no_series(tmp_path, capsys, names, says):
    from interp.importers.__main__ import main

    (tmp_path / "saved").mkdir()
    for name in names:
        torch.save(NANDA, tmp_path / "saved" / name)
    assert main([str(tmp_path / "saved"), "--layout", "nanda", *ADD, "--out", str(tmp_path / "run")]) == 3
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_again_is_the_same_run_and_another_file_is_refused(tmp_path, capsys):
    from interp.importers.__main__ import main

    first, second, out = foreign.HERE / "nanda.pth", tmp_path / "nanda.pth", str(tmp_path / "run")
    assert main([str(first), "--layout", "nanda", *ADD, "--out", out]) == 0
    assert main([str(first), "--layout", "nanda", *ADD, "--out", out]) == 0
    torch.save({"model": foreign.nanda(2), "epoch": 4999}, second)
    assert main([str(second), "--layout", "nanda", *ADD, "--out", out]) == 2
    assert "is not this import" in capsys.readouterr().err
    bare, flags = str(foreign.HERE / "pizza.pt"), ["--layout", "pizza", "--out", str(tmp_path / "bare")]
    assert main([bare, *flags, "--step", "10"]) == 0
    assert main([bare, *flags, "--step", "20"]) == 2  # the same file at another step
    assert main([bare, *flags, "--step", "10"]) == 0


def test_one_bad_snapshot_of_many_leaves_nothing(tmp_path, capsys):
    from interp.importers.__main__ import main

    bad = changed(NANDA, "embed.W_E", torch.full((4, 6), torch.nan))
    torch.save({"state_dicts": [NANDA, bad], "epochs": [0, 100]}, tmp_path / "series.pth")
    assert main([str(tmp_path / "series.pth"), "--layout", "nanda", *ADD, "--out", str(tmp_path / "run")]) == 3
    assert "embed.W_E holds values that are not finite, at step 101" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["series.pth"]


def test_control_the_unchanged_models_are_taken(tmp_path):
    from interp.importers.__main__ import main

    for i, (layout, flags, told, content) in enumerate(
        [
            ("nanda", ADD, None, NANDA),
            ("pizza", (), foreign.pizza_config(), PIZZA),
            ("pizza", (), {"model_type": "A"}, foreign.linear("A", 1)),
            ("reptheory", (), C5, foreign.reptheory(1, 5)),
            ("reptheory", (), C5, foreign.one_layer_mlp(1, 5)),
            ("transformerlens", ADD, TL, foreign.transformerlens(1, 6, 6)),
            ("grok", ADD, None, foreign.grok(1)),
        ]
    ):
        path = tmp_path / f"{i}.pt"
        torch.save(content, path)
        if told is not None:
            path.with_suffix(".json").write_text(json.dumps(told))
        assert main([str(path), "--layout", layout, *flags, "--out", str(tmp_path / f"run{i}")]) == 0, layout
        shutil.rmtree(tmp_path / f"run{i}")


STILL_FITS = {
    ("nanda.pth", "unembed.W_U", 3),  # logits of the answers alone
    ("nanda_answers.pt", "embed.W_E", 3),  # p = 4, with a logit for "="
    ("transformerlens.pt", "pos_embed.W_pos", 4),  # rows "a b" of 6 elements
    ("grok.pt", "transformer.position_encoding", 4),  # more positions than a row has, still
}
"""Changes that make another model of the layout."""


@pytest.mark.parametrize("share", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(FORWARDS))
def test_no_tensor_of_another_shape_ends_in_a_traceback(name, share, tmp_path, capsys):
    """A tensor as a scalar, empty, transposed, with an extra axis, cut, or of whole numbers ends in one line.

    Each tensor is damaged in every ``share``-th of these ways, in turns, so that each way is tried on every model.
    """
    from interp.importers.__main__ import main

    layout, flags, _ = FORWARDS[name]
    content = torch.load(foreign.HERE / name, weights_only=True)
    weights = content
    while not all(isinstance(t, torch.Tensor) for t in weights.values()):
        key = next(key for key, inner in weights.items() if isinstance(inner, dict | list))
        weights = weights[key][0] if isinstance(weights[key], list) else weights[key]
    if foreign.HERE.joinpath(name).with_suffix(".json").exists():
        shutil.copy(foreign.HERE.joinpath(name).with_suffix(".json"), tmp_path / "model.json")
    for turn, (key, tensor) in enumerate(weights.items()):
        if key.endswith(("mask", "IGNORE")):
            continue
        changes = [
            tensor.sum(),
            tensor[:0],
            tensor[None],
            tensor[..., :-1],
            tensor[1:],
            tensor.long(),
            tensor.to_sparse(),
        ]
        changes += [tensor.flip(0).transpose(0, -1)] if tensor.ndim > 1 and tensor.shape[0] != tensor.shape[-1] else []
        for i, change in list(enumerate(changes))[turn % share :: share]:
            weights[key] = change
            torch.save(content, tmp_path / "model.pt")
            status = main([str(tmp_path / "model.pt"), "--layout", layout, *flags, "--out", str(tmp_path / "run")])
            error = capsys.readouterr().err
            if (name, key, i) not in STILL_FITS:
                assert status in (2, 3) and len(error.splitlines()) == 1, (key, i, error)
                assert not (tmp_path / "run").exists()
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
        weights[key] = tensor


@pytest.mark.parametrize("name", sorted(name for name, (_, told) in foreign.files().items() if told is not None))
def test_no_strange_setting_ends_in_a_traceback(name, tmp_path, capsys):
    """Each setting in turn gets another type; status 0 is right for a setting that the layout does not read."""
    from interp.importers.__main__ import main

    layout, flags, _ = FORWARDS[name]
    shutil.copy(foreign.HERE / name, tmp_path / "model.pt")
    told = json.loads((foreign.HERE / name).with_suffix(".json").read_text())
    for key in told:
        for value in ([], {}, [1], "x", None, True, -1, 10**30, 0.5, math.nan, math.inf):
            (tmp_path / "model.json").write_text(json.dumps({**told, key: value}))
            status = main([str(tmp_path / "model.pt"), "--layout", layout, *flags, "--out", str(tmp_path / "run")])
            error = capsys.readouterr().err
            assert status == 0 or status in (2, 3) and len(error.splitlines()) == 1, (key, value, error)
            assert (tmp_path / "run").exists() == (status == 0)
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
