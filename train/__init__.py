"""Train small transformers on modular and group operations: ``from train import RunConfig, train``."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.algebra.operations import OPERATIONS
    from train.config.run import RunConfig
    from train.engine.loop import train

__all__ = ["OPERATIONS", "RunConfig", "train"]

_HOMES = {"OPERATIONS": "algebra.operations", "RunConfig": "config.run", "train": "engine.loop"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``--help`` stays quick (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def foreign_packages(path: list[str]) -> list[Path]:
    """Other packages called ``train`` on an import path; the name is common, and PyPI has one too."""
    ours = Path(__file__).resolve().parent
    found = (Path(entry or ".") / "train" for entry in path)
    return [folder for folder in found if (folder / "__init__.py").is_file() and folder.resolve() != ours]


def _warn_of_foreign_packages() -> None:
    from train.cli.terminal import printable

    for folder in foreign_packages(sys.path):
        warnings.warn(
            f"two packages are called 'train': groklens's {Path(__file__).parent} and {printable(folder.resolve())}; "
            "use groklens-train and groklens-report, or uninstall or rename the other",
            stacklevel=3,
        )


_warn_of_foreign_packages()
