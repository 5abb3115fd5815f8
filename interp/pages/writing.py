"""The one way to write a page to a folder."""

from pathlib import Path

from interp.html.page import Page, render_page
from train.storage.files import write_atomic


def write(page: Page, folder: Path) -> Path:
    """Write ``index.html`` whole or not at all, over an older one; makes the folder. Returns the file's path.

    Raises:
        OSError: the disk refuses; an older page is then untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    write_atomic(path, render_page(page).encode())
    return path
