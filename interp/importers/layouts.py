"""Layouts of state dicts that others save: each is a module here whose ``read(raw, given)`` returns an ``Imported``."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .common import Given, Imported

LAYOUTS = (
    "nanda",
    "pizza",
    "reptheory",
    "transformerlens",
    "grok",
)
"""Names that --layout takes, which are those of the modules; reading the names imports none of the modules."""


def reader(layout: str) -> "Callable[[Any, Given], Imported]":
    """The function that reads files of this layout; its module, and PyTorch with it, is imported here."""
    return importlib.import_module(f".{layout}", __package__).read
