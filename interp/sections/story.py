"""The first screen: what happened in a few sentences, the curves, the operation's table and the embedding's circles."""

from typing import Any

import numpy as np
import pandas as pd

from interp.figures.grids import answers_figure
from interp.figures.lead import shares_figure, story_figure
from interp.figures.style import PALETTE
from interp.html.blocks import Block, Figure, Text
from interp.html.numbers import percent
from interp.html.tracks import Track
from interp.measures import measure_snapshot
from interp.parts.irreps import irreps_of
from interp.parts.memo import NotApplicable, Unavailable
from interp.parts.readouts import Readout, readouts
from interp.parts.rows import table_of
from interp.parts.structure import find_cycle
from interp.runs.run import Run
from interp.story.answers import cell_frame, cell_states, cells_text, counts_of, table_links
from interp.story.behaviour import grid_claim
from interp.story.circles import circles_of
from interp.story.claims import is_there, said
from interp.story.keysteps import fitting_steps
from interp.story.opening import opening_claims
from interp.story.outcome import nats, opening_curve_claim
from interp.story.over_training import progress_rows
from interp.story.standing import at, over_run
from interp.story.steps import cursor_track, thinned
from interp.story.weights import irrep_claim
from train.tasks.task import NO_TABLE

TABLE_BYTES = 4_500_000
"""Largest size of the living table before compression: a byte a cell and step."""
FIGURES = {
    "curves": "loss and accuracy over training, in one figure",
    "table": "right and wrong answers in the table of all pairs, at every snapshot",
    "circles": "the embedding on cos and sin of each key frequency (of a group: its share in each irrep)",
}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """The sentences, and up to three figures that follow the slider."""
    return [Text(said(*opening_claims(run))), *_curves(run), *_table(run), *_embedding(run)]


# ---- curves ----------------------------------------------------------------------------------------


def _curves(run: Run) -> list[Block]:
    rows, where = _rows(run)
    losses = [name for name in rows.columns if name.endswith("_loss")]
    if not losses or not (rows[losses] > 0).to_numpy().any():
        return [Text("Curves are not shown: no loss is known.")]
    steps = tuple(run.steps)
    fig = story_figure(rows, steps[-1])
    panels = 1 + any(name.endswith("_acc") for name in rows.columns)
    first = len(list(fig.data)) - panels
    at_step = rows.set_index("step").reindex(list(steps))
    return [
        Figure(
            id="curves",
            fig=fig,
            heading="Loss and accuracy",
            takeaway=over_run(run, opening_curve_claim(run, rows)),
            how="Above the loss, below the share of right answers; the dotted line is the slider's step. A run that "
            "memorises first shows a gap: the training curves turn long before the test curves.",
            source=f"Mean cross-entropy in nats; a pair is right if its answer has the largest logit. {where}",
            alt="Line charts of loss and of accuracy against step, for training and test pairs.",
            steps=steps,
            tracks=tuple(cursor_track(steps, trace=first + i) for i in range(panels)),
            texts=tuple(_curve_text(run, int(str(step)), row) for step, row in at_step.iterrows()),
            columns={"trace": "pairs", "x": "step", "y": "loss (nats) or accuracy"},
        )
    ]


def _rows(run: Run) -> tuple[Any, str]:
    """The rows to draw, without columns that are empty, and where they come from."""
    names = ["train_loss", "test_loss", "train_acc", "test_acc"]
    log: Any = run.evaluations if run.origin.kind == "trained" else run.log
    if not log.empty and log[names].notna().any(axis=None):
        kept = [name for name in names if log[name].notna().any()]
        where = "From the run's log." if run.origin.kind == "trained" else f"As listed in {run.origin.source}."
        return thinned(log.dropna(subset=kept, how="all"))[["step", *kept]], where
    measured = progress_rows(run, tuple(names))
    if not len(measured):  # an unknown split
        values = {step: measure_snapshot(run[step], ("all_loss", "all_acc")) for step in run.steps}
        rows = [(step, name, x) for step, found in values.items() for name, x in found.items() if is_there(x)]
        measured = pd.DataFrame(rows, columns=["step", "measure", "value"])
    wide: Any = measured.pivot(index="step", columns="measure", values="value").reset_index()
    return wide.rename_axis(columns=None), "Computed from the snapshots' weights."


def _curve_text(run: Run, step: int, row: Any) -> str:
    words = {"train": "training pairs", "test": "test pairs", "all": "all pairs"}
    parts = []
    for name, pairs in words.items():
        loss, acc = row.get(f"{name}_loss", np.nan), row.get(f"{name}_acc", np.nan)
        values = [*([f"loss {nats(loss)}"] if loss == loss else []), *([f"{percent(acc)} right"] if acc == acc else [])]
        parts += [f"{pairs}: {', '.join(values)}"] if values else []
    return f"{at(run, step)}: {'; '.join(parts)}." if parts else f"{at(run, step)} nothing was logged."


# ---- the operation's table -------------------------------------------------------------------------


def _table(run: Run) -> list[Block]:
    table, has_split = run.task.table, run.task.is_train is not None
    if table is None:
        return [Text(f"The table is not shown: {NO_TABLE}.")]
    steps = tuple(fitting_steps(run.evaluations, run.steps, table.n**2, TABLE_BYTES))
    states = cell_states(run, steps)
    counts = [counts_of(state, has_split) for state in states]
    return [
        Figure(
            id="table",
            fig=answers_figure(cell_frame(run, states[-1]), has_split, height=360),
            heading=f"The table of {run.config.task.operation.symbol}, answered",
            takeaway=over_run(run, grid_claim(run, counts[0], counts[-1])),
            how="One cell a pair: a down, b to the right. Blue cells are answered right, orange ones wrong"
            + ("; the darker of each colour are the training pairs." if has_split else "."),
            source="A cell is right if the answer has the largest logit.",
            alt=f"Image of the {table.n} by {table.n} table; each cell says whether it is answered right.",
            steps=steps,
            tracks=(Track(0, "z", np.stack([run.task.as_grid(state) for state in states])),),
            texts=tuple(cells_text(run, step, count) for step, count in zip(steps, counts, strict=True)),
            links=table_links(0),
            columns={"x": "b", "y": "a", "z": "state"},
        )
    ]


# ---- the embedding ---------------------------------------------------------------------------------


def _embedding(run: Run) -> list[Block]:
    """Circles of the key frequencies; where the elements form no cycle, bars of irreps."""
    try:
        embeddings = [readout for readout in readouts(run, table_of(run)) if readout.name.startswith("W_E")]
        if isinstance(find_cycle(run.task), Unavailable):
            return [_irreps(run, embeddings[0])]
        circles = circles_of(run, embeddings)
    except NotApplicable as reason:
        return [Text(f"Circles of the embedding are not shown: {reason}.")]
    return [
        Figure(
            id="circles",
            heading="Circles of the embedding",
            takeaway=over_run(run, circles.claim),
            source=f"{circles.chosen} Rows of the embedding W_E, less their mean, along the directions in which the "
            "last snapshot carries cos and sin of k rounds; [Nanda et al. 2023](https://arxiv.org/abs/2301.05217).",
            alt=f"Small scatter plots of the elements, one for each of {circles.n_panels} circles.",
            **circles.drawing,
        )
    ]


def _irreps(run: Run, embedding: Readout) -> Figure:
    """Bars of the embedding's share in each irrep, in place of circles: elements of a group have no frequencies."""
    irreps, steps = irreps_of(run), tuple(run.steps)
    rows = run.stack(embedding.read).double()[:, irreps.order]
    total = rows.square().sum(dim=(1, 2))
    names, bases = [str(name) for name in irreps.bases], list(irreps.bases.values())
    shares = np.stack([((basis @ rows).square().sum(dim=(1, 2)) / total).numpy() for basis in bases], axis=1)
    even = {name: len(basis) / basis.shape[1] for name, basis in zip(names, bases, strict=True)}
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(names))]
    frame = pd.DataFrame({"name": names, "share": shares[-1], "even": list(even.values()), "colour": colours})
    by_name = {name: shares[:, i].tolist() for i, name in enumerate(names)}
    return Figure(
        id="circles",
        fig=shares_figure(frame, "share of squared norm"),
        heading="Irreps of the embedding",
        takeaway=over_run(run, irrep_claim(run, "W_E", by_name, even)),
        how="A group that is not cyclic has no circles. In their place stands one bar an irrep, named by its degree "
        "and a number; a bar far above its mark is a part that the network has learnt.",
        source="Share of the embedding's squared norm in the matrix coefficients of each irrep; "
        "[Chughtai et al. 2023](https://arxiv.org/abs/2302.03025). The trivial irrep is not drawn.",
        alt="Bar chart of the share of the embedding's squared norm in each irrep.",
        steps=steps,
        tracks=(Track(0, "y", shares),),
        texts=tuple(_irrep_text(run, step, names, row) for step, row in zip(steps, shares, strict=True)),
        columns={"trace": "what", "x": "irrep", "y": "share of squared norm"},
    )


def _irrep_text(run: Run, step: int, names: list[str], shares: np.ndarray) -> str:
    if not np.isfinite(shares).all():
        return f"{at(run, step)} the embedding is zero."
    top = int(shares.argmax())
    return f"{at(run, step)} irrep {names[top]} holds the most of the embedding: {percent(shares[top])}."
