"""The operation's table at its full size: the entries that are answered right, at a few snapshots."""

import numpy as np

from interp.figures.grids import answers_figure
from interp.html.blocks import Block, Figure, Text
from interp.html.tracks import Track
from interp.runs.run import Run
from interp.story.answers import cell_frame, cell_states, cells_text, counts_of, table_links
from interp.story.behaviour import grid_claim
from interp.story.keysteps import key_steps
from interp.story.standing import drawn_at, over_run
from train.tasks.task import NO_TABLE

KEY_STEPS = 12
"""Largest number of snapshots shown."""
FIGURES = {"answers": "right and wrong answers in the table of all pairs"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure: the n x n table with right and wrong cells, and the training cells marked if they are known."""
    table, has_split = run.task.table, run.task.is_train is not None
    if table is None:
        return [Text(f"Not shown: {NO_TABLE}.")]
    steps = tuple(key_steps(run.evaluations, run.steps, KEY_STEPS))
    states = cell_states(run, steps)
    counts = [counts_of(state, has_split) for state in states]
    undefined = counts[-1]["undefined"]
    note = f" {undefined:,} entries are undefined." if undefined else ""
    marked = "Training cells are darker." if has_split else "Which cells were trained on is unknown."
    return [
        Figure(
            id="answers",
            fig=answers_figure(cell_frame(run, states[-1]), has_split),
            heading=f"Right answers in the table of {run.config.task.operation.symbol}",
            takeaway=over_run(run, grid_claim(run, counts[0], counts[-1])),
            how=f"One cell a pair, as on the first screen, at the size of the page. {marked}{note}",
            source=f"A cell is right if the answer has the largest logit. {drawn_at(len(steps))}",
            alt=f"Image of the {table.n} by {table.n} table; each cell says "
            f"{'whether the pair was trained on and ' if has_split else ''}whether it is answered right.",
            steps=steps,
            tracks=(Track(0, "z", np.stack([run.task.as_grid(state) for state in states])),),
            texts=tuple(cells_text(run, step, count) for step, count in zip(steps, counts, strict=True)),
            links=table_links(0),
            columns={"x": "b", "y": "a", "z": "state"},
        )
    ]
