"""Settings with which numba compiles the package's loops."""

from typing import Any

from numba import njit


def settings() -> dict[str, Any]:
    """numba's settings: the GIL is released, NaN and infinity are respected, and compiled code is cached on disk.

    numba caches beside the source file or in the user's cache directory; if neither is writable, caching is off and
    each process recompiles for a few seconds.
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
    """A function to try the settings on; never called."""


COMPILE = settings()

WITHIN: dict[str, Any] = COMPILE | {"inline": "always"}
"""Settings for a function that another compiled function of the same file calls: it is inlined into the caller.

Without inlining, numba compiles the function twice, alone and as part of the caller, to different machine code. The
process that compiles runs one version and processes that load the caller from the cache run the other, so that sums
differ in their last bits. Callers stay in the same file because numba recompiles a cached function only when its own
file changes.
"""
