"""Train small transformers on modular and group operations: ``from train import train, RunConfig``."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.algebra.operations import OPERATIONS
    from train.call import train
    from train.config.model import ModelConfig
    from train.config.optim import OptimConfig
    from train.config.presets import PRESETS
    from train.config.run import RunConfig, ScheduleConfig
    from train.config.task import TaskConfig
    from train.errors import DataError, DivergedError, Stopped, UsageError

    __version__: str

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "DataError",
    "DivergedError",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "ScheduleConfig",
    "Stopped",
    "TaskConfig",
    "UsageError",
    "__version__",
    "train",
]

_HOMES = {
    "OPERATIONS": "algebra.operations",
    "PRESETS": "config.presets",
    "DataError": "errors",
    "DivergedError": "errors",
    "ModelConfig": "config.model",
    "OptimConfig": "config.optim",
    "RunConfig": "config.run",
    "ScheduleConfig": "config.run",
    "Stopped": "errors",
    "TaskConfig": "config.task",
    "UsageError": "errors",
    "train": "call",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``--help`` stays quick (PEP 562)."""
    if name == "__version__":
        from train.version import version

        return version()
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def foreign_packages(path: list[str]) -> list[Path]:
    """Other packages called ``train`` on an import path; the name is common, and PyPI has one too."""
    ours = Path(__file__).resolve().parent
    folders = (Path(entry or ".") / "train" for entry in path)
    return [folder for folder in folders if (folder / "__init__.py").is_file() and folder.resolve() != ours]


def _warn_of_foreign_packages() -> None:
    from train.cli.terminal import printable

    for folder in foreign_packages(sys.path):
        warnings.warn(
            f"two packages are called 'train': groklens's {Path(__file__).parent} and {printable(folder.resolve())}; "
            "use groklens-train and groklens-report, or uninstall or rename the other",
            stacklevel=3,
        )


_warn_of_foreign_packages()
