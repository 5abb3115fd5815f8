"""Read runs: ``from interp import open_run``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runs import Run, Snapshot, open_run

__all__ = ["Run", "Snapshot", "open_run"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``--help`` stays quick (PEP 562)."""
    if name in __all__:
        from . import runs

        return getattr(runs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
