"""Train small transformers on modular and group operations: ``from train import train, RunConfig``."""

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


def _guard() -> None:
    from train.foreign import warn_of_foreign_packages

    warn_of_foreign_packages()


_guard()
