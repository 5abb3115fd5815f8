"""Read runs: ``from interp import open_run``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .parts.keyfreqs import key_freqs
    from .runs.finding import open_run
    from .runs.run import Run
    from .runs.snapshot import Snapshot

__all__ = ["Run", "Snapshot", "key_freqs", "open_run"]

_HOMES = {
    "Run": "runs.run",
    "Snapshot": "runs.snapshot",
    "key_freqs": "parts.keyfreqs",
    "open_run": "runs.finding",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``--help`` stays quick (PEP 562)."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _guard() -> None:
    from .guard import check_train

    check_train()


_guard()
