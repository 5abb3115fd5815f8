"""A link to a written page, for notebooks."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Link:
    """A page on disk. ``str()`` is its path, ``open()`` and ``Path()`` take it, and a notebook shows a link to it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        """A link relative to the current folder, which notebook servers can follow, or else a file: address."""
        path = self.path.absolute()
        inside = path.is_relative_to(Path.cwd())
        address = quote(path.relative_to(Path.cwd()).as_posix()) if inside else path.as_uri()
        return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(str(self.path))}</a>'
