"""Other packages with the names of groklens's two on the import path."""

import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds groklens's ``train`` and ``interp``."""


def foreign_packages(name: str, path: list[str]) -> list[Path]:
    """Other packages or modules called ``name`` on an import path, by their folder or file."""
    found: list[Path] = []
    for entry in path:
        folder, file = Path(entry or ".") / name, Path(entry or ".") / f"{name}.py"
        if (folder / "__init__.py").is_file() and folder.resolve() != ROOT / name:
            found.append(folder.resolve())
        elif file.is_file() and not (folder / "__init__.py").is_file():
            found.append(file.resolve())
    return list(dict.fromkeys(found))


def warn_of_foreign_packages() -> None:
    """Warn of other packages called ``train`` or ``interp``: another folder may find them first."""
    from train.cli.terminal import printable

    for name in ("train", "interp"):
        for other in foreign_packages(name, sys.path):
            warnings.warn(
                f"two packages are called {name!r}: groklens's {ROOT / name} and {printable(other)}; "
                "use groklens-train and groklens-report, or uninstall or rename the other; where Python finds the "
                f"other first, as in a notebook beside it, begin with: import sys; "
                f"sys.path.insert(0, {str(ROOT)!r}); sys.modules.pop({name!r}, None)",
                stacklevel=4,
            )
