"""numba settings for the package's compiled loops."""

from typing import Any

from numba import njit


def settings() -> dict[str, Any]:
    """numba's settings: the GIL is released, NaN and infinity are respected, and compiled code is cached on disk.

    numba caches beside the source file or in the user's cache directory; if neither is writable, caching is off and
    each process recompiles for a few seconds.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "cache": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    }
    try:
        njit(**options)(_probe)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        options["cache"] = False
    return options


def _probe() -> None:
    """A function for trying out the settings; never called."""


COMPILE = settings()

WITHIN: dict[str, Any] = COMPILE | {"inline": "always"}
"""Settings for helpers of compiled functions, which are inlined into callers in the same file.

Without inlining, numba compiles a helper twice, alone and as part of the caller, to different machine code. The process
that compiles runs one version and processes that load the caller from the cache run the other, so that sums differ in
their last bits. Callers are in the same file because numba recompiles a cached function only if its own file changes.
"""
