"""The report of an imported run: complete for every kind of model, and clear about what is unknown."""

from typing import Any

import numpy as np
import pytest
from oracles.foreign_cases import ADD, FORWARDS


@pytest.fixture(autouse=True)
def quick_umap(monkeypatch):
    """Replace UMAP, which compiles for half a minute, by PCA."""
    import interp.sections.maps as maps
    from interp.maths.projections import pca_over_training

    monkeypatch.setattr(maps, "umap_beside", lambda rows: lambda: pca_over_training(rows)[0])


KINDS = {
    "nanda.pth": "At step 5,000: loss over all pairs",
    "nanda_series.pth": "3 snapshots up to step 201",
    "pizza_two.pt": "embedding of the second operand",
    "pizza_C.pt": "A two-operand MLP of two layers",
    "pizza_X.pt": "embedding of the second operand",
    "reptheory_S4.pt": "Elements of S4 were put from",
    "reptheory_mlp.pt": "A two-operand MLP is",
    "transformerlens.pt": "A two-layer transformer",
    "grok.pt": "A two-layer transformer",
}
"""A fixture of every kind, and what its page says."""


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_whole_page(importing, tmp_path, capsys, name):
    from interp.report import main
    from interp.sections import SECTIONS

    layout, flags, _ = FORWARDS[name]
    run = importing(name, layout, *flags)
    assert main([str(run.path), "--out", str(tmp_path / "report"), "--quiet"]) == 0, capsys.readouterr().err
    page = (tmp_path / "report/index.html").read_text()
    assert KINDS[name] in page and "optimiser unknown" in page
    assert page.count(str(run.origin.sha256)) >= 2  # in the overview and in the provenance
    for section in SECTIONS:
        assert section.title in page
    assert not (tmp_path / "report/errors.txt").exists()


def words(blocks):
    from interp.html.blocks import Text

    return next(block.markdown for block in blocks if isinstance(block, Text))


def test_the_page_has_what_the_last_snapshot_tells(importing):
    from interp.pages.headings import step_labels, subtitle
    from interp.sections import curves

    bare = importing("pizza.pt", "pizza")
    said = words(curves.build(bare))
    assert "The number of updates is unknown" in said and "unknown which rows the model was trained on" in said
    assert "an unknown step" in subtitle(bare) and step_labels(bare) == ("step unknown (0)",)
    numbers = numbers_of(bare)
    assert numbers["last step"] is None and numbers["final train loss"] is None
    assert numbers["final all loss"] == bare.last.loss("all")
    flags = ("--train-frac", "0.4", "--split", "python", "--split-seed", "1")
    told = importing("nanda.pth", "nanda", *ADD, *flags, out="told")
    assert "unknown" not in words(curves.build(told)) and "step 5,000" in subtitle(told)
    numbers = numbers_of(told)
    assert numbers["last step"] == 5000 and numbers["final test accuracy"] == told.last.accuracy("test")


def numbers_of(run):
    """The overview's table of numbers, as a dictionary."""
    from interp.html.blocks import Table
    from interp.sections import overview

    frame = next(block.frame for block in overview.build(run) if isinstance(block, Table))
    return dict(zip(frame["quantity"], frame["value"], strict=True))


def grid_of(run) -> Any:
    from interp.sections import grid

    (block,) = grid.build(run)
    return block


def test_cells_of_an_unknown_split_are_neither_train_nor_test(importing):
    run = importing("nanda.pth", "nanda", *ADD)
    block = grid_of(run)
    right = (run.last.logits.argmax(-1) == run.task.labels[:, 0]).numpy()
    assert f"{right.sum()} of 25 cells are right." in block.takeaway
    assert "Which cells were trained on is unknown." in block.how and "raining cells" not in block.takeaway + block.alt
    image = block.fig.data[0]
    assert np.array_equal(np.asarray(block.at(5000).data[0].z).ravel(), right)
    assert list(image.colorbar.ticktext) == ["wrong", "right", "undefined"]
    assert list(image.colorbar.tickvals) == [0, 1, 4]


def test_control_cells_of_a_known_split_are_train_or_test(importing):
    block = grid_of(importing("reptheory_D3.pt", "reptheory"))
    assert "of 21 training cells" in block.texts[-1]
    assert list(block.fig.data[0].colorbar.ticktext)[0] == "test, wrong"
