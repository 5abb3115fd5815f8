"""Writing a page to a folder."""

from pathlib import Path

from interp.html.page import Page
from interp.html.render import rendered
from train.cli.terminal import tell
from train.storage.files import write_atomic

from .timing import Timings


def write(page: Page, folder: Path, quiet: bool = True, timings: Timings | None = None) -> Path:
    """Write ``index.html`` atomically, replacing an older one; creates the folder. Returns the file's path.

    Args:
        page: the page.
        folder: where it is written.
        quiet: False prints the bytes of each part of the page on standard error.
        timings: seconds of the page's parts, printed as a table on standard error with those of writing it.

    Raises:
        OSError: the page cannot be written; an older page is then left as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    times = Timings() if timings is None else timings
    with times.of("(writing)"):
        made = rendered(page)
        write_atomic(path, made.html.encode())
    if not quiet:
        tell(*made.table())
    if timings is not None:
        tell(*timings.table())
    return path
