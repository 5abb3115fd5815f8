"""Writing a page to a folder."""

from pathlib import Path

from interp.html.page import Page
from interp.html.render import render_page
from train.storage.files import write_atomic


def write(page: Page, folder: Path) -> Path:
    """Write ``index.html`` atomically, replacing an older one; creates the folder. Returns the file's path.

    Raises:
        OSError: the page cannot be written; an older page is then left as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    write_atomic(path, render_page(page).encode())
    return path
