"""Where the page comes from: the SHA-256 of every snapshot that was read."""

import pandas as pd

from interp.html.blocks import Block, Table
from interp.runs.run import Run

TABLES = {"snapshots": "the SHA-256 of every snapshot that was read"}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A table with one row a snapshot."""
    digests = [run.store.manifest[step]["sha256"] for step in run.steps]
    frame = pd.DataFrame({"step": run.steps, "SHA-256": digests})
    caption = f"The {len(frame)} snapshots that this page was computed from, each with the SHA-256 of its file."
    return [Table(frame, caption, id="snapshots")]
