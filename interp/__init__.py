"""Read runs: ``from interp import open_run``."""

from pathlib import Path
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

        _check_train()
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _check_train() -> None:
    """Refuse to go on with somebody else's ``train``.

    Raises:
        ImportError: the ``train`` that Python finds is not groklens's.
    """
    from importlib.util import find_spec

    ours, spec = Path(__file__).resolve().parent.parent / "train", find_spec("train")
    found = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
    if found != ours:
        raise ImportError(
            f"the package 'train' that Python finds is {found}, not groklens's {ours}: leave that folder, or rename it"
        )
