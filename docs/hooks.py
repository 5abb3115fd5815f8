"""Hooks of the site's build: notebooks become pages, and the figures' library is served by the site itself.

A notebook becomes a page of code and committed outputs. A plotly figure is stored in a notebook as JSON; the page draws
the figure with plotly.js, which is copied from the installed plotly, so that no page asks the network for anything.
"""

import functools
import html
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PLOTLY = "application/vnd.plotly.v1+json"
LIBRARY = "assets/plotly.min.js"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replaces notebooks by pages of the same name, and adds plotly.js."""
    import plotly

    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        assert file.abs_src_path is not None
        files.remove(file)
        notebook = json.loads(Path(file.abs_src_path).read_text())
        files.append(File.generated(config, page_name(file.src_uri), content=page(notebook, Path(file.src_uri).name)))
    library = Path(plotly.__file__).parent / "package_data/plotly.min.js"
    files.append(File.generated(config, LIBRARY, content=library.read_bytes()))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lets the navigation name notebooks by their own file names."""
    config.nav = _renamed(config.nav)
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads links to notebooks to their pages, makes tables of settings, and unfolds the patches that a page names."""
    markdown = _tables().filled(markdown, _tables().BUILT)
    markdown = re.sub(r"(\]\([\w./-]+)\.ipynb", r"\1.md", markdown)
    return re.sub(r"Example: `(tests/fixtures/howto/(\w+\.patch))`\.", _unfolded, markdown)


@functools.cache
def _tables() -> Any:
    """``docs/tables.py``, which is beside this file and in no package."""
    spec = importlib.util.spec_from_file_location("tables", Path(__file__).parent / "tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables


def _unfolded(match: re.Match[str]) -> str:
    path = Path(match[1])
    if not path.is_file():
        return match[0]
    lines = "\n".join(f"    {line}".rstrip() for line in path.read_text().splitlines())
    return f'The example:\n\n??? example "{match[2]}"\n\n    ```diff\n{lines}\n    ```\n'


def page_name(source: str) -> str:
    """The page of a notebook: ``watch.ipynb`` becomes ``watch.md``."""
    return source.removesuffix(".ipynb") + ".md"


def _renamed(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_renamed(item) for item in nav]
    if isinstance(nav, dict):
        return {title: _renamed(item) for title, item in nav.items()}
    return page_name(nav) if isinstance(nav, str) and nav.endswith(".ipynb") else nav


def page(notebook: dict[str, Any], name: str) -> str:
    """Markdown of a notebook with its outputs."""
    parts = [cell_text(cell) for cell in notebook["cells"]]
    title, rest = parts[0].split("\n", 1) if "\n" in parts[0] else (parts[0], "")
    note = f"*This page is the notebook `docs/notebooks/{name}`, with its outputs.*"
    return "\n\n".join([title, note, rest, *parts[1:]])


def cell_text(cell: dict[str, Any]) -> str:
    """Markdown of one cell."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    shown = [output_text(output) for output in cell["outputs"]]
    return "\n\n".join([f"```python\n{source}\n```", *shown])


def output_text(output: dict[str, Any]) -> str:
    """Markdown of one output: the richest form that a page can show."""
    if output["output_type"] == "stream":
        return _text("".join(output["text"]))
    if output["output_type"] == "error":
        return _text(f"{output['ename']}: {output['evalue']}")
    data = output["data"]
    if PLOTLY in data:
        figure = json.dumps({key: data[PLOTLY][key] for key in ("data", "layout")}, separators=(",", ":"))
        return f'<div class="gl-scroll"><div class="gl-figure" data-figure="{html.escape(figure)}"></div></div>'
    if "text/html" in data:
        flat = "\n".join(line for line in "".join(data["text/html"]).splitlines() if line.strip())
        return f'<div class="gl-output gl-html">\n{flat}\n</div>'
    return _text("".join(data["text/plain"]))


def _text(text: str) -> str:
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in ANSI.sub("", text).rstrip("\n").split("\n")]
    return f'<pre class="gl-output">{html.escape(chr(10).join(lines))}</pre>'
