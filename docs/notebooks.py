"""Run the notebooks of the site and store their outputs: ``python docs/notebooks.py [NAME ...]``.

A notebook runs in an empty folder, so that its runs are left nowhere. Figures are stored as plotly's JSON, without
plotly.js. Execution times, ids, and warnings that a machine's own packages print are left out.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
TIMEOUT_S = 300


def paths() -> list[Path]:
    """Every notebook of the site."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: Path) -> Any:
    """The notebook with fresh outputs, run in a folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    before = os.environ.get("PLOTLY_RENDERER")
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    try:
        NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}}).execute()
    finally:
        os.environ.pop("PLOTLY_RENDERER") if before is None else os.environ.update(PLOTLY_RENDERER=before)
    return tidied(notebook)


def tidied(notebook: Any) -> Any:
    """The notebook with outputs that are small and hold no folder of this machine."""
    notebook.metadata = {"language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.outputs = [_tidied_output(output) for output in _joined(cell.outputs)]
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs with the pieces of a stream in one, as a terminal shows them; warnings are left out."""
    joined: list[Any] = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if output.output_type == "stream" and joined and joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?=[^\n])", "", output.text.replace("\r\n", "\n"))
    return joined


def _tidied_output(output: Any) -> Any:
    data: Any = output.get("data", {})
    if PLOTLY in data:
        figure = data[PLOTLY]
        figure["layout"].pop("template", None)
        data = {PLOTLY: {"data": figure["data"], "layout": figure["layout"]}}
    if "text/html" in data:
        data["text/html"] = re.sub(r"<style.*?</style>\n?", "", data["text/html"], flags=re.S)
    if data:
        output.data = data
    return output


def main(names: list[str]) -> None:
    """Run the notebooks, all of them where none is named, and write them back."""
    for path in paths():
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
