"""Layouts of state dicts that others save, each read by one function into our own terms."""

from . import grok, nanda, pizza, reptheory, transformerlens
from .check import check
from .common import Given, Imported, tells_step

LAYOUTS = {
    "nanda": nanda.read,
    "pizza": pizza.read,
    "reptheory": reptheory.read,
    "transformerlens": transformerlens.read,
    "grok": grok.read,
}
"""Readers by the name that --layout takes."""

__all__ = ["LAYOUTS", "Given", "Imported", "check", "tells_step"]
