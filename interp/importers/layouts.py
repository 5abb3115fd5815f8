"""Layouts of state dicts that others save, each read by one function into our own terms."""

from . import grok, nanda, pizza, reptheory, transformerlens
from .archives import read_file
from .check import check
from .common import Given, Imported
from .losses import identical, listed_losses
from .tokens import settle_tokens
from .unwrapping import own_config, own_step, prefixes, tells_step

LAYOUTS = {
    "nanda": nanda.read,
    "pizza": pizza.read,
    "reptheory": reptheory.read,
    "transformerlens": transformerlens.read,
    "grok": grok.read,
}
"""Readers by the name that --layout takes."""

__all__ = [
    "LAYOUTS",
    "Given",
    "Imported",
    "check",
    "identical",
    "listed_losses",
    "own_config",
    "own_step",
    "prefixes",
    "read_file",
    "settle_tokens",
    "tells_step",
]
