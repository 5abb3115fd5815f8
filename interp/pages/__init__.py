"""Every kind of page. A page is built by its module, rendered by ``interp.html.page`` and written by ``writing.write``.

A kind of page is a file with ``KIND`` and one line in ``PAGES``.
"""

from . import run, simulation, sweep
from .kind import Kind

PAGES: tuple[Kind, ...] = (
    simulation.KIND,
    sweep.KIND,
    run.KIND,
)
"""Kinds in the order in which a folder is recognised. The last one takes any other path, and reports what is wrong."""
