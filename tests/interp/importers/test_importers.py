"""Importers: the committed models of every layout give the logits of a plain forward pass in that layout."""

from pathlib import Path

import pytest
import torch
from oracles import foreign, foreign_forward
from oracles.foreign_cases import ADD, FORWARDS, P, close, grok_logits, grok_rows, load, rows


@pytest.mark.parametrize("name", FORWARDS)
def test_logits_are_those_of_a_plain_forward_pass(importing, name):
    layout, flags, expected = FORWARDS[name]
    run = importing(name, layout, *flags)
    assert run.last.logits.shape == expected().shape
    assert close(run.last.logits, expected())
    assert run.origin.kind == "imported" and run.origin.source == name and run.origin.layout == layout
    assert not run.origin.knows("optim") and not run.origin.knows("schedule") and not run.origin.knows("model.init")
    assert run.is_done and len(run.log) == (2 if name == "nanda.pth" else 0) and run.problems() == {}


def test_fixtures_are_what_their_generator_makes():
    """The fixtures of ``foreign.files`` are the committed ones; other fixtures belong to the test of their layout."""
    made = foreign.files()
    names = {path.name for path in foreign.HERE.iterdir() if path.suffix != ".json"}
    tests = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name
    )
    assert set(made) <= names and [name for name in names - set(made) if name not in tests] == []

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
        monkeypatch.setattr(f"interp.importers.{module}.split_heads", wrong)
    _, flags, expected = FORWARDS[name]
    assert not close(importing(name, layout, *flags).last.logits, expected())


def test_control_another_order_of_elements_is_seen(importing, monkeypatch):
    monkeypatch.setattr("interp.importers.reptheory.element_order", lambda name: torch.arange(24))
    for name in ("reptheory_S4.pt", "reptheory_mlp.pt"):
        assert not close(importing(name, "reptheory", out=name).last.logits, FORWARDS[name][2]())


def test_permutations_are_numbered_as_sympy_generates_them():
    from interp.importers.reptheory import element_order
    from train.algebra.groups import group, parse_group

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


def test_a_step_that_nothing_tells_is_unknown(importing):
    run = importing("pizza.pt", "pizza")
    assert run.steps == [0] and not run.origin.knows("step")
    assert importing("pizza.pt", "pizza", "--step", "20000", out="given").origin.knows("step")
    assert importing("nanda_series.pth", "nanda", out="series").origin.knows("step")


@pytest.mark.parametrize(
    ("told", "step"),
    [
        ({"train_losses": [1.0] * 500}, 500),
        ({"train_losses": [1.0] * 500, "epoch": 499}, 500),
        ({"train_losses": [1.0] * 500, "epoch": 500}, 500),  # their last file has the number of epochs
        ({"train_loss": 1.0, "epoch": 500}, 501),  # their other files have no lists
        ({"train_losses": [1.0] * 50, "epoch": 499}, 500),  # a list of every tenth loss
        ({"train_losses": [1.0] * 50, "epoch": 499, "global_step": 7}, 7),
    ],
)
def test_losses_say_how_many_updates_were_done(importing, tmp_path, told, step):
    torch.save({"model": foreign.nanda(1), **told}, tmp_path / "model.pth")
    assert importing(tmp_path / "model.pth", "nanda", *ADD).steps == [step]


@pytest.mark.parametrize(("n_losses", "steps"), [(200, [1, 101, 200]), (199, [0, 100, 199]), (0, [1, 101, 200])])
def test_losses_say_which_updates_a_series_has(importing, tmp_path, n_losses, steps):
    """With 199 losses and a last epoch of 199, the models were saved before the updates of their epochs."""
    models = [foreign.nanda(seed) for seed in (1, 2, 3)]
    content = {"model_checkpoints": models, "checkpoint_epochs": [0, 100, 199], "train_losses": [1.0] * n_losses}
    torch.save(content, tmp_path / "series.pth")
    assert importing(tmp_path / "series.pth", "nanda", *ADD).steps == steps


def test_the_folder_that_nandas_code_writes(importing, tmp_path):
    folder = tmp_path / "grok_1700000000"
    folder.mkdir()
    torch.save({"model": foreign.nanda(1), "train_data": [(0, 1, 5)], "test_data": []}, folder / "init.pth")
    for epoch in (0, 100):
        torch.save({"model": foreign.nanda(epoch), "train_loss": 1.0, "epoch": epoch}, folder / f"{epoch}.pth")
    torch.save({"model": foreign.nanda(7), "train_losses": [1.0] * 150, "epoch": 150}, folder / "final.pth")
    run = importing(folder, "nanda", *ADD)
    assert run.steps == [0, 1, 101, 150]
    assert close(run[150].logits, foreign_forward.nanda(foreign.nanda(7), rows(P, P)))


def test_rep_theorys_own_folder(importing, tmp_path):
    """A folder in rep-theory's form is imported: model.pt beside cfg.json, and a folder of checkpoints below."""
    (tmp_path / "D3" / "checkpoints").mkdir(parents=True)
    torch.save(foreign.reptheory(7, 6), tmp_path / "D3/model.pt")
    torch.save(foreign.reptheory(7, 6), tmp_path / "D3/checkpoints/40.pt")
    (tmp_path / "D3/cfg.json").write_bytes((foreign.HERE / "reptheory_D3.json").read_bytes())
    run = importing(tmp_path / "D3/model.pt", "reptheory")
    assert run.config.task.group == "D3" and run.task.is_train is not None
    assert importing(tmp_path / "D3/checkpoints", "reptheory", out="series").steps == [40]


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


# ---- the rest ----------------------------------------------------------------------------------------


def test_the_command_knows_every_layout():
    """Every module that reads a layout is listed, every listed name has its module, and every layout its fixture."""
    import re

    from interp.importers.layouts import LAYOUTS, reader
    from interp.importers.layouts import __file__ as listing

    files = Path(str(listing)).parent.glob("*.py")
    assert {path.stem for path in files if re.search(r"^def read\(", path.read_text(), re.MULTILINE)} == set(LAYOUTS)
    assert all(reader(layout).__module__ == f"interp.importers.{layout}" for layout in LAYOUTS)
    fixtures = [path.name for path in foreign.HERE.iterdir()]
    assert [name for name in LAYOUTS if not any(fixture.startswith(name) for fixture in fixtures)] == []
    assert {layout for layout, _, _ in FORWARDS.values()} <= set(LAYOUTS)


def test_folded_norms_are_norms_without_scale_and_shift(importing, tmp_path):
    weights = foreign.transformerlens(17, P + 1, P)
    torch.save(weights, tmp_path / "model.pt")
    (tmp_path / "told.json").write_text('{"act_fn": "relu", "normalization_type": "LNPre"}')
    run = importing(tmp_path / "model.pt", "transformerlens", *ADD, "--config", str(tmp_path / "told.json"))
    names = [f"{name}.{x}" for name in ("blocks.0.ln1", "blocks.0.ln2", "ln_final") for x in "wb"]
    norms = {name: torch.full((foreign.D_MODEL,), float(name.endswith("w"))) for name in names}
    assert close(run.last.logits, foreign_forward.transformerlens(weights | norms, rows(P, P)))
    assert run.config.model.norm == "pre" and run.config.model.biases == "all"


def test_a_config_that_a_checkpoint_carries(importing, tmp_path):
    told = {"act_fn": "relu", "normalization_type": None, "attention_dir": "bidirectional"}
    torch.save({"model": foreign.transformerlens(1, 6, 6), "config": told}, tmp_path / "model.pt")
    assert importing(tmp_path / "model.pt", "transformerlens", *ADD).config.model.attention == "bidirectional"


def test_pizzas_own_file_names(importing, tmp_path):
    (tmp_path / "model_p99.pt").write_bytes((foreign.HERE / "pizza.pt").read_bytes())
    (tmp_path / "config_p99.json").write_bytes((foreign.HERE / "pizza.json").read_bytes())
    assert importing(tmp_path / "model_p99.pt", "pizza").config.model.attn_rate == 0.3


@pytest.mark.parametrize("name", [name for name in FORWARDS if name != "grok.pt"])
def test_every_measure_takes_them(importing, name):
    from interp.measures import measure_snapshot

    layout, flags, _ = FORWARDS[name]
    run = importing(name, layout, *flags)
    found = measure_snapshot(run.last)
    assert found["all_loss"] == pytest.approx(run.last.loss("all"))
