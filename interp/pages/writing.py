"""Writing a page to a folder."""

from pathlib import Path

from interp.html.page import Page
from interp.html.render import rendered
from train.cli.terminal import tell
from train.storage.files import write_atomic


def write(page: Page, folder: Path, quiet: bool = True) -> Path:
    """Write ``index.html`` atomically, replacing an older one; creates the folder. Returns the file's path.

    Prints the bytes of each part on standard error unless ``quiet``.

    Raises:
        OSError: the page cannot be written; an older page is then left as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    made = rendered(page)
    write_atomic(path, made.html.encode())
    if not quiet:
        tell(*made.table())
    return path
