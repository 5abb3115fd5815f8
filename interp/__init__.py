"""Read runs: ``from interp import open_run``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runs import Run, Snapshot, open_run

__all__ = ["Run", "Snapshot", "open_run"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``--help`` stays quick (PEP 562)."""
    if name in __all__:
        _check_train()
        from . import runs

        return getattr(runs, name)
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
