"""The notebooks run to their ends; committed outputs match the code, are small, and hold no scripts."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NAMES = ["foreign", "own", "watch"]
LARGEST_KB = 300


@pytest.fixture(scope="module")
def notebooks():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import notebooks
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return notebooks


def kinds(notebook) -> list[list[str]]:
    """The kinds of the outputs of every code cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[kind for o in cell.outputs for kind in sorted(o.get("data", {o.output_type: ""}))] for cell in cells]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_notebook_runs_and_shows_what_the_site_shows(name, notebooks, tmp_path):
    import nbformat

    path = notebooks.FOLDER / f"{name}.ipynb"
    fresh = notebooks.executed(path, tmp_path)
    assert kinds(fresh) == kinds(nbformat.read(path, as_version=4)), "run: make notebooks"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_control_a_notebook_that_raises_is_seen(notebooks, tmp_path):
    import nbformat
    from nbclient.exceptions import CellExecutionError

    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.executed(tmp_path / "broken.ipynb", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_small_and_safe(name, notebooks):
    import nbformat

    path = notebooks.FOLDER / f"{name}.ipynb"
    text, notebook = path.read_text(), nbformat.read(path, as_version=4)
    assert len(text) < LARGEST_KB * 1000
    assert "<script" not in text and "/tmp/" not in text and "/home/" not in text
    assert all(output.output_type != "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code"), "run: make notebooks"


def test_every_notebook_is_tested(notebooks):
    assert [path.stem for path in notebooks.paths()] == NAMES


def test_outputs_lose_plotly_scripts_and_warnings(notebooks):
    import nbformat
    from nbformat.v4 import new_code_cell, new_output

    figure = {"data": [{"y": [1]}], "layout": {"title": "a", "template": {"big": 1}}, "config": {}}
    cell = new_code_cell("x")
    cell.outputs = [
        new_output("stream", name="stdout", text="10%\r20%\r30%\n"),
        new_output("stream", name="stderr", text="a warning"),
        new_output("display_data", data={notebooks.PLOTLY: figure, "text/html": "<script>much</script>"}),
    ]
    (tidy,) = notebooks.tidied(nbformat.v4.new_notebook(cells=[cell])).cells
    assert [output.output_type for output in tidy.outputs] == ["stream", "display_data"]
    assert tidy.outputs[0].text == "30%\n"
    assert tidy.outputs[1].data == {notebooks.PLOTLY: {"data": [{"y": [1]}], "layout": {"title": "a"}}}
