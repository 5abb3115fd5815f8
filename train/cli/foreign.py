"""Detection of other packages called ``train`` or ``interp`` on the import path."""

import sys
import warnings
from pathlib import Path

from .terminal import printable

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds groklens's ``train`` and ``interp``."""


def foreign_packages(name: str, path: list[str]) -> list[Path]:
    """Other packages or modules called ``name`` on an import path, by their folder or file."""
    others: list[Path] = []
    for entry in path:
        folder, file = Path(entry or ".") / name, Path(entry or ".") / f"{name}.py"
        if (folder / "__init__.py").is_file() and folder.resolve() != ROOT / name:
            others.append(folder.resolve())
        elif file.is_file() and not (folder / "__init__.py").is_file():
            others.append(file.resolve())
    return list(dict.fromkeys(others))


def warn_of_foreign_packages() -> None:
    """Warn about other packages called ``train`` or ``interp``, which may shadow groklens's in another folder."""
    for name in ("train", "interp"):
        for other in foreign_packages(name, sys.path):
            warnings.warn(
                f"two packages are called {name!r}: groklens's {ROOT / name} and {printable(other)}; "
                "use groklens-train and groklens-report, or uninstall or rename the other; where Python finds the "
                f"other first, as in a notebook beside it, begin with: import sys; "
                f"sys.path.insert(0, {str(ROOT)!r}); sys.modules.pop({name!r}, None)",
                stacklevel=4,
            )
