"""How our loops are compiled."""

from typing import Any

from numba import njit


def settings() -> dict[str, Any]:
    """numba's settings: no lock held, no short cut with NaN or infinity, kept on disk where there is a place.

    numba keeps compiled code beside the source file, or in the user's cache; with neither writable it refuses
    to be asked, and every process compiles anew, for some seconds.
    """
    found: dict[str, Any] = {
        "nogil": True,
        "cache": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    }
    try:
        njit(**found)(_probe)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        found["cache"] = False
    return found


def _probe() -> None:
    """Never called."""


COMPILE = settings()

WITHIN: dict[str, Any] = COMPILE | {"inline": "always"}
"""For a function that another compiled one of the same file calls. It becomes part of the caller.

As a function of its own it would be compiled twice, apart and in the caller's surroundings, to different machine
code. The process that compiles runs the one, those that load the caller from disk the other, and sums differ in
their last bits. And what lies on disk is compiled anew when its own file changes, whatever happens to others.
"""
