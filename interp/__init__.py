"""Read runs: ``from interp import open_run``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import circuits, measures
    from .front import Run, open_run
    from .html.export import save_figure
    from .measures import measure_snapshot, table
    from .parts.keyfreqs import key_freqs
    from .parts.memo import Unavailable
    from .runs.finding import find_runs
    from .runs.snapshot import Snapshot
    from .transformerlens import from_transformer_lens, to_transformer_lens

__all__ = [
    "Run",
    "Snapshot",
    "Unavailable",
    "circuits",
    "find_runs",
    "from_transformer_lens",
    "key_freqs",
    "measure_snapshot",
    "measures",
    "open_run",
    "save_figure",
    "table",
    "to_transformer_lens",
]

_HOMES = {
    "Run": "front",
    "Snapshot": "runs.snapshot",
    "Unavailable": "parts.memo",
    "find_runs": "runs.finding",
    "from_transformer_lens": "transformerlens",
    "key_freqs": "parts.keyfreqs",
    "measure_snapshot": "measures",
    "open_run": "front",
    "save_figure": "html.export",
    "table": "measures",
    "to_transformer_lens": "transformerlens",
}
"""Modules of the public names; those of ``__all__`` that are not here are modules themselves."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import interp`` and ``--help`` stay quick (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    if name not in _HOMES:
        return import_module(f".{name}", __name__)
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The public names, imported or not, and the module's own."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _guard() -> None:
    from .guard import check_train

    check_train()


_guard()
