"""How other people lay out their weights: one file a layout, each with ``read(raw, given) -> Imported``."""

from collections.abc import Callable
from typing import Any

from . import grok, nanda, pizza, reptheory, transformerlens
from .common import Given, Imported

LAYOUTS: dict[str, Callable[[Any, Given], Imported]] = {
    "nanda": nanda.read,
    "pizza": pizza.read,
    "reptheory": reptheory.read,
    "transformerlens": transformerlens.read,
    "grok": grok.read,
}
"""Readers by the layout's name."""
