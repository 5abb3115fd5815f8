"""Files as people save them: wrappers' prefixes, marks in any order, loss curves, folders, copies."""

import json
from typing import Any

import pytest
import torch
from oracles import foreign
from oracles.adder import adder
from oracles.foreign_cases import ADD, FORWARDS, close, load

TL = {"act_fn": "relu", "normalization_type": None, "attention_dir": "causal"}


def imported(tmp_path, content, *flags, told: Any = None, layout="transformerlens", name="m.pt", capsys: Any = None):
    """Import ``content``; returns exit status, error line and run."""
    from interp import open_run
    from interp.importers.__main__ import main

    torch.save(content, tmp_path / name)
    if told is not None:
        (tmp_path / name).with_suffix(".json").write_text(json.dumps(told))
    out = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
    status = main([str(tmp_path / name), "--layout", layout, "--out", str(out), *flags])
    run: Any = open_run(out) if status == 0 else None
    said = capsys.readouterr().err if capsys is not None else ""
    assert len(said.splitlines()) <= 1
    return status, said, run


# ---- prefixes --------------------------------------------------------------------------------------

PREFIXES = ["_orig_mod.", "module.", "model.", "net.", "module._orig_mod.", "model.net.module.", "backbone."]


def inside(content, change):
    """The checkpoint with ``change`` applied to its state dict."""
    for key in ("model", "state_dict"):
        if key in content:
            return {**content, key: inside(content[key], change)}
    return change(content)


@pytest.mark.parametrize("name", [name for name in FORWARDS if name != "nanda_series.pth"])
def test_prefixes_of_wrappers_are_taken_off_in_every_layout(importing, tmp_path, name):
    layout, flags, expected = FORWARDS[name]
    told = (foreign.HERE / name).with_suffix(".json")
    content = load(name) if name != "transformerlens_demo.pth" else load(name)["checkpoints"][-1]
    for i, prefix in enumerate(PREFIXES if name == "transformerlens.pt" else PREFIXES[i_of(name) :: 4]):
        wrapped = inside(content, lambda weights, prefix=prefix: {prefix + n: t for n, t in weights.items()})
        torch.save(wrapped, tmp_path / f"{i}.pt")
        if told.exists():
            (tmp_path / f"{i}.json").write_text(told.read_text())
        run = importing(tmp_path / f"{i}.pt", layout, *flags, out=f"run{i}")
        assert close(run.last.logits, expected()), prefix
        assert any("of a wrapper was removed from the names of tensors" in note for note in run.origin.notes)


def i_of(name):
    return sum(map(ord, name)) % 4


def test_other_wrappers_names_in_the_midst_and_counters_are_left_out(importing, tmp_path):
    weights = {f"module.{n.replace('blocks.0.', 'blocks.0._orig_mod.')}": t for n, t in foreign.nanda(1).items()}
    torch.save({"n_averaged": torch.tensor(3), **weights}, tmp_path / "m.pt")
    run = importing(tmp_path / "m.pt", "nanda", *ADD)
    assert torch.equal(run.last.model.W_E, importing("nanda.pth", "nanda", *ADD, out="b").last.model.W_E)


def test_lightnings_checkpoint_with_its_own_tensors_names_the_prefix(tmp_path, capsys):
    weights = {f"model.{name}": t for name, t in foreign.transformerlens(1, 6, 6).items()}
    content = {"state_dict": {**weights, "loss.weight": torch.ones(3)}, "global_step": 500}
    status, said, _ = imported(tmp_path, content, *ADD, told=TL, capsys=capsys)
    assert status == 3 and "begin with 'model.'" in said and "'loss.weight' does not" in said
    status, _, run = imported(tmp_path, {"state_dict": weights, "global_step": 500}, *ADD, told=TL)
    assert status == 0 and run is not None and run.steps == [500]


# ---- rows of marks ---------------------------------------------------------------------------------


ROWS = {
    "a 8 b 7": (4, 9, "a op b ="),
    "a 7 b 8": (4, 9, "a op b ="),
    "a b 7": (3, 8, "a b ="),
    "a 7 b": (3, 8, "a op b"),
    "a b 8": (3, 9, "a b ="),
    "8 a 7 b 9": (5, 10, "eos a op b ="),
}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("has_split", [True, False])
def test_the_row_that_the_model_read_is_found_by_its_loss(tmp_path, row, has_split):
    n_ctx, d_vocab, layout = ROWS[row]
    content: dict[str, Any] = {"model": adder(row, d_vocab)}
    if has_split:
        content["train_indices"] = torch.arange(0, 49, 2)
    flags = ("--p", "7") if row == "a b 8" else ()
    status, _, run = imported(tmp_path, content, *ADD, *flags, told={**TL, "attention_dir": "bidirectional"})
    assert status == 0 and run is not None
    assert run.config.task.layout == layout and run.task.tokens.shape[1] == n_ctx
    assert run.last.accuracy("all") == 1
    if layout != "a b =":
        note = next(note for note in run.origin.notes if note.startswith("rows are read as"))
        assert repr(row) in note and "mean loss over" in note


@pytest.mark.parametrize("row", ["a 8 b 7", "a 7 b"])
def test_a_flag_says_it_and_the_wrong_one_is_believed(tmp_path, row):
    n_ctx, d_vocab, _ = ROWS[row]
    content = {"model": adder(row, d_vocab)}
    told = {**TL, "attention_dir": "bidirectional"}
    status, _, run = imported(tmp_path, content, *ADD, "--tokens", row, told=told)
    assert status == 0 and run is not None and run.last.accuracy("all") == 1
    wrong = "a 7 b 8" if n_ctx == 4 else "a b 7"
    status, _, run = imported(tmp_path, content, *ADD, "--tokens", wrong, told=told)
    assert status == 0 and run is not None and run.last.accuracy("all") < 1  # the control


def test_rows_that_no_loss_tells_apart_are_refused_with_the_flag(tmp_path, capsys):
    content = foreign.transformerlens(3, 7, 7, n_ctx=4)  # untrained
    status, said, _ = imported(tmp_path, content, *ADD, told=TL, capsys=capsys)
    assert status == 2 and "give --tokens, such as --tokens 'a " in said
    status, _, run = imported(tmp_path, content, *ADD, "--tokens", "a 6 b 5", told=TL)
    assert status == 0 and run is not None and run.config.task.layout == "a op b ="
    expected = torch.cat([torch.tensor([[a, 6, b, 5]]) for a in range(5) for b in range(5)])
    from oracles import foreign_forward

    logits = foreign_forward.transformerlens(content, expected)[:, [0, 1, 2, 3, 4, 5, 6]]
    assert close(run.last.logits, logits)


def test_an_untrained_model_of_three_tokens_is_taken_for_the_usual_row(tmp_path):
    _, _, run = imported(tmp_path, foreign.transformerlens(3, 6, 6), *ADD, told=TL)
    assert run is not None and run.config.task.layout == "a b ="


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ("a b", "the model reads 4 tokens"),
        ("a 5 b 5", "marks have different numbers"),
        ("a 5 b 9", "numbered 0 to 6"),
        ("b 5 a 6", "is not allowed"),
        ("a + b =", "is not allowed"),
        ("5 6 a b", "is not allowed"),
    ],
)
def test_flags_that_are_no_row_are_refused(tmp_path, capsys, tokens, says):
    content = foreign.transformerlens(3, 7, 7, n_ctx=4)
    status, said, _ = imported(tmp_path, content, *ADD, "--tokens", tokens, told=TL, capsys=capsys)
    assert status == 2 and says in said


@pytest.mark.parametrize("name", ["grok.pt", "pizza_A.pt"])
def test_a_flag_for_a_layout_whose_rows_are_known_is_refused(tmp_path, capsys, name):
    from interp.importers.__main__ import main

    layout, flags, _ = FORWARDS[name]
    command = [str(foreign.HERE / name), "--layout", layout, "--out", str(tmp_path / "run"), "--tokens", "a b"]
    assert main([*command, *flags]) == 2
    assert "leave --tokens out" in capsys.readouterr().err


def test_marks_before_the_elements(tmp_path):
    """A model whose token 0 is "=" is imported; its elements are the other tokens, in order."""
    content = adder("a b 7", 8)
    order = torch.tensor([7, 0, 1, 2, 3, 4, 5, 6])
    content = {**content, "embed.W_E": content["embed.W_E"][order], "unembed.W_U": content["unembed.W_U"][:, order]}
    content["unembed.b_U"] = content["unembed.b_U"][order]
    told = {**TL, "attention_dir": "bidirectional"}
    _, _, run = imported(tmp_path, content, *ADD, "--tokens", "a b 0", told=told)
    assert run is not None and run.last.accuracy("all") == 1


# ---- loss curves -----------------------------------------------------------------------------------

CURVE = [2.0**-i for i in range(20)]


@pytest.mark.parametrize(
    ("told", "columns", "steps"),
    [
        ({"train_losses": CURVE, "test_losses": CURVE, "epoch": 19}, ("train_loss", "test_loss"), list(range(20))),
        ({"train_losses": torch.tensor(CURVE), "epoch": 20}, ("train_loss",), list(range(20))),
        ({"train_losses": [torch.tensor(x) for x in CURVE]}, ("train_loss",), list(range(20))),
        ({"train_losses": CURVE, "epoch": 199}, ("train_loss",), list(range(0, 200, 10))),
        ({"train_losses": CURVE[:11], "epoch": 99}, ("train_loss",), list(range(0, 101, 10))),
        ({"train_losses": CURVE, "test_accuracies": [0.5] * 20}, ("train_loss", "test_acc"), list(range(20))),
        ({"train_losses": [float("nan"), *CURVE[1:]]}, ("train_loss",), list(range(1, 20))),
    ],
)
def test_the_files_own_losses_are_the_log(tmp_path, told, columns, steps):
    content = {"model": foreign.nanda(1), **told}
    _, _, run = imported(tmp_path, content, *ADD, layout="nanda")
    assert run is not None and run.log["step"].tolist() == steps
    assert {name for name in run.log.columns if run.log[name].notna().any()} == {"step", *columns}
    values = dict(zip(range(0, 10_000, max(1, steps[-1] - steps[-2])), CURVE, strict=False))
    assert run.log["train_loss"].tolist() == pytest.approx([values[step] for step in steps])
    assert run.evaluations.empty  # they are none of ours
    assert any("none of ours" in note for note in run.origin.notes)


def test_losses_of_numpy_and_of_no_stride(tmp_path):
    import numpy as np

    content = {"model": foreign.nanda(1), "epoch": 99, "train_losses": [np.float64(x) for x in CURVE]}
    content["test_losses"] = np.array(CURVE[:7], dtype=np.float32)
    _, _, run = imported(tmp_path, content, *ADD, layout="nanda")
    assert run is not None and run.log["train_loss"].tolist() == CURVE and run.log["step"].max() == 95
    assert run.log["test_loss"].isna().all()
    assert any("7 values of test_loss in m.pt fit no stride" in note for note in run.origin.notes)


def test_the_curves_section_shows_them_as_the_sources(tmp_path):
    from interp.sections import curves

    told = {"train_losses": CURVE, "test_losses": CURVE, "test_accuracies": [0.5] * 20}
    _, _, run = imported(tmp_path, {"model": foreign.nanda(1), **told}, *ADD, layout="nanda")
    blocks: Any = curves.build(run)
    origin, loss, accuracy = blocks
    assert (
        "**Imported**" in origin.markdown
        and "as the source lists it" in loss.heading
        and "as listed in m.pt" in loss.source
    )
    assert "not computed here" in loss.source and "Accuracy" in accuracy.heading
    assert list(loss.fig.data[0].y) == CURVE
    claim = loss.takeaway.claims[0]
    assert (claim.id, claim.numbers["first"], claim.numbers["last"]) == ("curves.listed_train_loss", 1, CURVE[-1])
    assert "source" in claim.text


def test_long_curves_are_thinned_for_drawing(tmp_path):
    import pandas as pd

    from interp.story.steps import MAX_POINTS, thinned

    rows = pd.DataFrame({"step": range(50_000)})
    kept = thinned(rows)["step"].tolist()
    assert len(kept) <= MAX_POINTS and kept[0] == 0 and kept[-1] == 49_999 and {1, 2, 3} <= set(kept)
    assert max(b - a for a, b in zip(kept, kept[1:], strict=False)) < 120


# ---- copies ----------------------------------------------------------------------------------------


def test_identical_snapshots_are_noted(tmp_path):
    from interp.story.claims import said
    from interp.story.outcome import import_claims

    same = foreign.nanda(1)
    for i, (models, says) in enumerate(
        [
            ([same, same, same], "identical at all 3 steps, 1 to 201"),
            ([same, {n: t.clone() for n, t in same.items()}], "identical at all 2 steps, 1 to 101"),
            ([same, same, foreign.nanda(2)], "those of the step before at 1 of 3 steps, first at step 101"),
        ]
    ):
        content = {"state_dicts": models, "epochs": [0, 100, 200][: len(models)]}
        _, _, run = imported(tmp_path, content, *ADD, layout="nanda", name=f"{i}.pt")
        assert run is not None and len(run.steps) == len(models)
        assert any(says in note for note in run.origin.notes) and says in said(*import_claims(run))
    content = {"state_dicts": [same, foreign.nanda(2)], "epochs": [0, 100]}
    _, _, run = imported(tmp_path, content, *ADD, layout="nanda", name="c.pt")
    assert run is not None and not any("step" in note for note in run.origin.notes)  # the control


# ---- folders and configs beside --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model.pt"])
@pytest.mark.parametrize("whole_folder", [True, False])
def test_hugging_faces_folders_are_one_model(importing, tmp_path, name, whole_folder):
    from safetensors.torch import save_file

    folder = tmp_path / "checkpoint-500"
    folder.mkdir()
    weights = foreign.transformerlens(1, 6, 6)
    save = save_file if name.endswith("safetensors") else torch.save
    save({n: t for n, t in weights.items() if not n.endswith(("mask", "IGNORE"))}, folder / name)
    torch.save({"state": {}}, folder / "optimizer.pt")
    (folder / "config.json").write_text(json.dumps({**TL, "act_fn": "silu"}))
    run = importing(folder if whole_folder else folder / name, "transformerlens", *ADD)
    assert run.config.model.act_fn == "silu" and len(run.steps) == 1
    assert any("read from config.json" in note for note in run.origin.notes)


def test_a_folder_with_a_model_and_steps_is_a_series_still(tmp_path, capsys):
    from interp.importers.__main__ import main

    (tmp_path / "saved").mkdir()
    for name in ("model.pt", "100.pt"):
        torch.save(foreign.nanda(1), tmp_path / "saved" / name)
    assert main([str(tmp_path / "saved"), "--layout", "nanda", *ADD, "--out", str(tmp_path / "run")]) == 3
    assert "model.pt has no step in its name" in capsys.readouterr().err
    (tmp_path / "saved/model.safetensors.index.json").touch()
    assert main([str(tmp_path / "saved"), "--layout", "nanda", *ADD, "--out", str(tmp_path / "run")]) == 3
    assert "several files" in capsys.readouterr().err


# ---- architectures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("act_fn", ["silu", "tanh", "gelu_new", "square", "gelu_pytorch_tanh"])
def test_activations_are_imported(tmp_path, act_fn):
    from oracles import foreign_forward
    from oracles.foreign_cases import rows

    weights = foreign.transformerlens(1, 6, 6)
    _, _, run = imported(tmp_path, weights, *ADD, told={**TL, "act_fn": act_fn})
    F: Any = torch.nn.functional
    by_hand = {"silu": F.silu, "tanh": torch.tanh, "square": lambda x: x * x}
    function = by_hand.get(act_fn, lambda x: F.gelu(x, approximate="tanh"))
    assert run is not None and close(run.last.logits, foreign_forward.transformerlens(weights, rows(5, 5), function))


def test_attention_only_models_are_imported(tmp_path, capsys):
    weights = {n: t for n, t in foreign.transformerlens(1, 6, 6, n_layers=2).items() if ".mlp." not in n}
    told = {"normalization_type": None, "attn_only": True, "act_fn": "solu_ln"}
    _, _, run = imported(tmp_path, weights, *ADD, told=told)
    assert run is not None and run.config.model.attn_only and run.config.model.d_mlp is None
    from oracles.foreign_cases import rows

    x = weights["embed.W_E"][rows(5, 5)] + weights["pos_embed.W_pos"]
    for i in range(2):
        at = f"blocks.{i}.attn."
        q, k, v = (
            torch.einsum("bpm,hmd->bhpd", x, weights[f"{at}W_{c}"]) + weights[f"{at}b_{c}"][:, None] for c in "QKV"
        )
        mask = torch.ones(3, 3).tril().bool()
        z = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + torch.einsum("bhpd,hdm->bpm", z, weights[f"{at}W_O"]) + weights[f"{at}b_O"]
    assert close(run.last.logits, (x @ weights["unembed.W_U"] + weights["unembed.b_U"])[:, -1])
    told = {**told, "attn_only": False}
    status, said, _ = imported(tmp_path, weights, *ADD, told=told, capsys=capsys, name="b.pt")
    assert status == 3 and "which its weights contradict" in said


# ---- what is unknown -------------------------------------------------------------------------------


def test_no_default_stands_for_what_is_unknown(importing):
    import dataclasses

    from interp.runs.unknown import Unknown
    from train.errors import UsageError

    for name in ("nanda.pth", "pizza_A.pt", "reptheory_S4.pt", "transformerlens.pt", "grok.pt"):
        layout, flags, _ = FORWARDS[name]
        run = importing(name, layout, *flags, out=name)
        told = run.store.info["config"]
        absent = {"p", "group", "d_mlp"}  # None: the other of the two is told, or there is no MLP
        of_heads = {"n_heads", "d_head", "norm", "positions", "attention", "attn_rate"}
        for part in dataclasses.fields(run.config):
            value = getattr(run.config, part.name)
            if not dataclasses.is_dataclass(value):
                assert isinstance(value, Unknown) == (part.name not in told)
                continue
            for field in dataclasses.fields(value):
                inner, known = getattr(value, field.name), told.get(part.name, {})
                if field.name in known or field.name in absent:
                    assert not isinstance(inner, Unknown), field.name
                elif not (known.get("arch") == "mlp" and field.name in of_heads):
                    assert isinstance(inner, Unknown), (name, field.name)
        lr = run.config.optim.lr
        assert repr(lr) == str(lr) == f"{lr}" == "unknown" and "lr=unknown" in repr(run.config)
        for use in (lambda x: x + 1, lambda x: 2 * x, bool, float, lambda x: x == 1e-3, lambda x: x < 1, hash):
            with pytest.raises(UsageError, match="unknown: the imported file does not record optim.lr"):
                use(lr)
        with pytest.raises(UsageError, match="does not record"):
            _ = run.config.batch_rows
        with pytest.raises(UsageError, match="does not record"):
            _ = run.config.identity
        shown = json.loads(json.dumps(run.config.to_dict()))
        assert shown["optim"]["lr"] == "unknown" and shown["schedule"]["steps"] == "unknown"


def test_every_reader_of_the_config_takes_an_imported_run(importing):
    from interp.html.blocks import Table
    from interp.pages.headings import provenance, step_labels, subtitle, title
    from interp.sections import overview

    run = importing("nanda.pth", "nanda", *ADD)
    assert "optimiser unknown" in subtitle(run) and "seed" not in title(run) and step_labels(run) and provenance(run)
    tables = [block.frame for block in overview.build(run) if isinstance(block, Table)]
    config: Any = tables[-1].set_index(["part", "field"])["value"]
    assert config["optim", "lr"] == config["model", "init"] == config["run", "seed"] == "unknown"
    assert config["task", "p"] == "5" and config["task", "shared_vocabulary"] == "True"
