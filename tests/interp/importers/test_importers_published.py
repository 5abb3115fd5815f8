"""Importers on published models: losses to the printed digits. The files are not redistributed here."""

import os
from pathlib import Path

import pytest

FOLDER = os.environ.get("GROKLENS_THIRD_PARTY")
pytestmark = pytest.mark.skipif(
    FOLDER is None or not Path(FOLDER).is_dir(),
    reason="the published models are elsewhere: set GROKLENS_THIRD_PARTY to their folder",
)
NO_WD = ("--op", "add", "--p", "113", "--train-frac", "0.9", "--split", "python", "--split-seed", "0")
LOW_PRECISION = ("--op", "add", "--train-frac", "0.3", "--split", "python", "--split-seed", "1")


def digits(text):
    """A number with the tolerance of its printed digits: half a unit of the last one."""
    mantissa, _, exponent = text.partition("e")
    places = len(mantissa.partition(".")[2])
    return pytest.approx(float(text), abs=0.5001 * 10.0 ** (int(exponent or 0) - places))


@pytest.mark.parametrize(
    ("name", "layout", "flags", "train_loss", "test_loss", "accuracy"),
    [
        ("nanda_mod_addition_no_wd.pth", "nanda", NO_WD, "1.681e-10", "1.110e-6", "1.0"),
        ("nanda_low_precision_mod_addition.pth", "nanda", LOW_PRECISION, "3.045e-4", None, "0.99945"),
        ("reptheory_C113_T_seed1.pt", "reptheory", (), "8.8592e-8", "1.8848e-7", "1.0"),
        ("reptheory_S5_T_seed1.pt", "reptheory", (), "1.1473e-7", "1.4250e-7", "1.0"),
        ("reptheory_A5_T_seed4.pt", "reptheory", (), None, "8.065e-8", "1.0"),
    ],
)
def test_losses_are_the_published_ones(importing, name, layout, flags, train_loss, test_loss, accuracy):
    run = importing(Path(str(FOLDER)) / name, layout, *flags)
    if train_loss is not None:
        assert run.last.loss("train") == digits(train_loss)
    if test_loss is not None:  # A5: 8.07e-8 is written of it; float32 and float64 both give 8.0648e-8 here
        assert run.last.loss("test") == digits(test_loss)
    assert run.last.accuracy("all") == digits(accuracy)


@pytest.mark.parametrize(
    ("name", "steps"),
    [("nanda_mod_addition_no_wd.pth", [5000]), ("nanda_low_precision_mod_addition.pth", [50_000])],
)
def test_steps_are_the_updates_that_the_losses_count(importing, name, steps):
    """The step is the number of losses; the first file's optimiser also records step 5000."""
    run = importing(Path(str(FOLDER)) / name, "nanda", "--op", "add")
    assert run.steps == steps and run.origin.knows("step")


def test_the_pizza_exemplar(importing):
    run = importing(Path(str(FOLDER)) / "pizza_model_a.pt", "pizza")
    assert run.last.accuracy("all") == 1
    norm = sum(float(t.double().square().sum()) for t in run.weights(run.last.step).values()) ** 0.5
    assert norm == digits("22.854")
    assert run.task.is_train is None and run.config.task.train_frac == 0.8
    assert run.config.model.attention == "bidirectional" and run.config.model.attn_rate == 0


def test_every_model_of_the_folder_is_imported(importing):
    """Every published file is imported, except the sweep, which holds no model and is refused in one line."""
    from interp.importers.__main__ import main
    from interp.importers.layouts import LAYOUTS

    for path in sorted(Path(str(FOLDER)).glob("*.p*t*")):
        layout = path.name.partition("_")[0]
        if layout not in LAYOUTS:
            continue
        if path.name == "nanda_frac_train_sweep.pth":
            assert main([str(path), "--layout", layout, "--op", "add", "--out", str(path.stem)]) == 3
            assert not Path(path.stem).exists()
        else:
            flags = ("--op", "add") if layout == "nanda" else ()
            assert importing(path, layout, *flags, out=path.stem).last.accuracy("all") > 0.999


@pytest.mark.parametrize(
    ("name", "layout", "op"),
    [("pizza_model_a.pt", "pizza", "add"), ("reptheory_S5_T_seed1.pt", "reptheory", "compose")],
)
def test_their_reports_are_whole(importing, tmp_path, name, layout, op, capsys):
    from interp.report import main

    run = importing(Path(str(FOLDER)) / name, layout)
    assert main([str(run.path), "--out", str(tmp_path / "report"), "--quiet"]) == 0, capsys.readouterr().err
    page = (tmp_path / "report/index.html").read_text()
    assert name in page and op in page and not (tmp_path / "report/errors.txt").exists()
