"""The types of a kind of page, and of a page that has been built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interp.html.page import Page

from .timing import Timings


@dataclass(frozen=True)
class Built:
    """A page ready to be written, with its folder and the command's exit status."""

    page: Page
    folder: Path
    """Where the page belongs."""
    status: int = 0
    """Exit status of the command: 1 where a part of the page failed, 3 where data were left out as corrupt."""
    timings: Timings | None = None
    """Seconds of the page's parts, to be printed once the page is written; None: not asked for."""


@dataclass(frozen=True)
class Kind:
    """A kind of page: how its folders are recognised, the flags that apply to it, and its builder."""

    what: str
    """The pages' subject with its article, such as "a sweep", for messages."""
    recognises: Callable[[Path], bool]
    build: Callable[..., Built]
    """``build(path, out, ...)`` with one keyword argument per entry of ``flags``; ``out`` is the folder that the user
    asked for, or None."""
    flags: tuple[str, ...] = ()
    """Names of the fields of ``interp.report.Options`` that the builder takes. A flag that only other kinds take is
    refused, except --quiet: a builder without it prints nothing anyway."""


def folder_for(name: str, out: Path | None) -> Path:
    """The page's folder: ``out``, or by default ``reports/NAME``."""
    return Path("reports") / name if out is None else out
