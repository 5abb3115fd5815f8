"""Figures as files: images by kaleido, where it is installed, and HTML that opens offline."""

from importlib.util import find_spec
from pathlib import Path

import plotly.graph_objects as go

IMAGES = (".png", ".svg", ".pdf")
INSTALL = "pip install 'groklens[export]'"


def save_figure(fig: go.Figure, path: str | Path, scale: float = 2.0) -> Path:
    """Write a plotly figure to a file whose ending names the format; makes the folder. Returns the file's path.

    Args:
        fig: the figure.
        path: ends in .png, .svg, .pdf (each by kaleido, the extra ``export``) or .html (self-contained).
        scale: pixels of a .png per pixel of the figure.

    Raises:
        ValueError: another ending.
        RuntimeError: kaleido, or the browser that kaleido draws with, is missing.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (*IMAGES, ".html"):
        raise ValueError(f"{path} ends in {path.suffix or 'nothing'}: use {', '.join(IMAGES)} or .html")
    if path.suffix == ".html":
        data = fig.to_html(include_plotlyjs=True, config={"showSendToCloud": False}).encode()
    else:
        data = _image(fig, path, scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _image(fig: go.Figure, path: Path, scale: float) -> bytes:
    if find_spec("kaleido") is None:
        raise RuntimeError(f"{path}: images are drawn by kaleido, which is not installed: {INSTALL}; or save as .html")
    try:
        return fig.to_image(format=path.suffix[1:], scale=scale)
    except RuntimeError as error:
        if "Chrome" not in str(error):
            raise
        raise RuntimeError(
            f"{path}: kaleido draws images with Chrome or Chromium and found neither: install one, or run "
            "plotly_get_chrome, or set BROWSER_PATH to its program; or save as .html"
        ) from None
