"""Progress measures over training: restricted and excluded losses, shares at the key frequencies, sparsity."""

import re
from typing import Any

import pandas as pd

from interp.figures.progress import lines_figure
from interp.html.blocks import Block, Figure, Table, Text
from interp.measures import charts, choose, measure_snapshot
from interp.parts.memo import Unavailable
from interp.runs.run import Run
from interp.story.circuit import (
    EXCLUDED,
    RESTRICTED,
    SHARES,
    band_claim,
    costliest_claim,
    end_claims,
    key_claims,
    loss_claims,
    share_claims,
)
from interp.story.claims import Said, listed, said
from interp.story.frequencies import colours_of, line_links
from interp.story.outcome import nats
from interp.story.over_training import progress_of, progress_rows
from interp.story.standing import at, over_run
from interp.story.steps import last_cursor
from interp.story.transition import transition
from interp.story.words import NULL, named, step_texts

NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"
CHUGHTAI = "[Chughtai et al. 2023](https://arxiv.org/abs/2302.03025)"
HOW = {
    "losses": "Where the loss with the key frequencies alone falls, a rule at these frequencies is forming; where "
    "the loss without them rises, the network stops relying on its memory of the training pairs.",
    "shares": "One line a share or a score from 0 to 1. A line that rises while the test accuracy is still low is a "
    "rule that forms unseen.",
    "by_freq": "One line a key frequency: the training loss if the logits lose that frequency alone. High lines are "
    "frequencies that the network cannot do without.",
}
PLAIN = "One line a measure; the dotted line is the slider's step."
TOLD = (RESTRICTED, EXCLUDED, "train_loss", "test_loss", *SHARES, "train_acc", "test_acc")
"""Measures of the two shared charts that the texts below the charts name."""
SHARED = ("losses", "shares")
"""Charts that this section lays out by hand; every other chart gets a figure of its own."""


def _slug(chart: str) -> str:
    """A figure's id for the name of a chart."""
    return re.sub(r"[^a-z0-9]+", "_", chart.lower()).strip("_")


FIGURES = {
    "losses": "restricted and excluded losses over training",
    "shares": "shares at the key frequencies, and sparsity, over training",
    "by_freq": "excluded loss by key frequency over training",
    **{_slug(name): f"{name} over training" for name in charts() if name not in SHARED},
}
"""Figures of this section by id: their contents."""
TABLES = {
    "measures": "every measure of the last snapshot that is a single number",
    "unavailable": "measures that do not apply, with the reason",
}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """Losses, shares, excluded loss by key frequency, and all measures at the last snapshot."""
    return [Text(_intro(run)), *_figures(run), *_tables(run)]


def _intro(run: Run) -> Said:
    keys = key_claims(run)
    if keys[0].id == "keys.none":
        return said(*keys, "Restricted and excluded losses by frequency are therefore not shown.", band_claim(run))
    method = (
        "Restricted losses keep only the key frequencies: they fall as a circuit at these frequencies forms. Excluded "
        "losses remove the key frequencies: on the training rows they rise as the model stops relying on memorisation."
    )
    ahead = "The same key frequencies are used at every snapshot, so values at earlier snapshots look ahead."
    null = _null_words(run)
    return said(method, *keys, ahead if len(run.steps) > 1 else None, null, band_claim(run))


def _null_words(run: Run) -> str | None:
    """The sentence that explains the dashed lines; None if there are none."""
    if not len(progress_of(run).nulls):
        return None
    return (
        "Dashed lines are the same losses at equally many frequencies drawn at random among the others (mean over "
        "draws, which are the same at every snapshot): the level to expect if the key frequencies were not special."
    )


def _figures(run: Run) -> list[Block]:
    figures: list[Block] = []
    names = {chart: [measure.name for measure in measures] for chart, measures in charts().items()}
    losses = progress_rows(run, names["losses"])
    if len(losses):
        source = (
            f"{NANDA}: their trig_loss (key only), excluded_loss_2D (without key) and excluded_loss_3D (without key "
            "waves, the parts along cos w(a+b-c)); neurons: TransformerLens' Grokking_Demo. Losses with the key "
            "frequencies alone are over all pairs, of neurons over the test pairs; losses without them are over the "
            "training pairs and have no bias correction."
        )
        takeaway = over_run(
            run, *loss_claims(run, losses), *end_claims(run, losses, "progress", ("test_loss", "train_loss"))
        )
        losses = pd.concat([losses, _null_lines(run)])
        heading = "Restricted and excluded losses"
        if not _has_keys(losses):
            heading, source = "Losses of the snapshots", "Mean cross-entropy over the pairs in the name."
        figures.append(_figure(run, "losses", losses, heading, "loss (nats)", source, takeaway, True))
    shares = progress_rows(run, names["shares"])
    if len(shares):
        source = (
            f"Logits: share of the centred logits along cos w(a+b-c) of the key frequencies, {CHUGHTAI}. Neurons: "
            "share of those that follow one frequency; sparsity: Gini coefficient of the Fourier norms, 0 where all "
            f"frequencies are equal and 1 where there is one; {NANDA}."
        )
        takeaway = over_run(run, *share_claims(run, shares))
        heading = "Shares at the key frequencies, and sparsity" if _has_keys(shares) else "Accuracy and sparsity"
        figures.append(_figure(run, "shares", shares, heading, "share", source, takeaway, False))
    by_freq = progress_rows(run, ("excluded_loss_logit2d_train_by_freq",))
    if len(by_freq):
        by_freq = by_freq.assign(line="without k = " + by_freq["k"].astype(str))
        ks = {f"without k = {k}": int(k) for k in by_freq["k"].unique()}
        source = f"Training loss without the logits' parts at cos and sin of w(a+b) of one key frequency. {NANDA}."
        takeaway = over_run(run, costliest_claim(run, by_freq))
        heading = "Excluded loss by key frequency"
        figures.append(_figure(run, "by_freq", by_freq, heading, "train loss (nats)", source, takeaway, True, ks))
    return [*figures, *_own_charts(run)]


def _own_charts(run: Run) -> list[Block]:
    """A figure for each chart, other than "losses" and "shares", that some measure names."""
    figures: list[Block] = []
    for chart, measures in charts().items():
        names = [measure.name for measure in measures]
        frame = progress_rows(run, names)
        if chart not in SHARED and len(frame):
            source = "; ".join(dict.fromkeys(measure.source for measure in measures))
            takeaway = over_run(run, *end_claims(run, frame, "progress", names))
            figures.append(_figure(run, _slug(chart), frame, chart, measures[0].unit, f"{source}.", takeaway, False))
    return figures


def _figure(
    run: Run,
    id: str,
    frame: pd.DataFrame,
    heading: str,
    unit: str,
    source: str,
    takeaway: Said,
    is_log: bool,
    ks: dict[str, int] | None = None,
) -> Figure:
    """A figure of one line a measure, or a frequency where ``ks`` names the lines' frequencies."""
    steps, band, ks = tuple(run.steps), transition(run), ks or {}
    frame = frame if ks else named(frame)
    colours = dict(zip(ks, colours_of(run, ks.values()), strict=True))
    fig = lines_figure(frame, steps[-1], "line", unit, is_log=is_log, band=band, dashed=NULL, colours=colours)
    return Figure(
        id=id,
        fig=fig,
        heading=heading,
        takeaway=takeaway,
        source=source,
        how=HOW.get(id, PLAIN) if _has_keys(frame) else PLAIN,
        alt=f"Line chart of {'; '.join(dict.fromkeys(frame['line']))} against step, step axis logarithmic.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=_texts(run, id, frame, steps, ks),
        links=line_links(fig, ks),
        columns={"trace": "frequency" if ks else "measure", "x": "step", "y": unit},
    )


def _has_keys(frame: Any) -> bool:
    """Whether some line is measured at the key frequencies."""
    return bool(frame["measure"].str.contains("restricted|excluded|logit_fve").any())


def _texts(run: Run, id: str, frame: Any, steps: tuple[int, ...], ks: dict[str, int]) -> tuple[str, ...]:
    """One sentence per step: the values of the measures, or the loss without each frequency."""
    if not ks:
        is_told = frame["measure"].isin(TOLD) if id in SHARED else ~frame["measure"].str.endswith(NULL)
        own: Any = frame[is_told]
        return step_texts(run, own, steps)
    wide: Any = frame.pivot(index="step", columns="line", values="value").reindex(list(steps))
    without = (
        listed([f"{nats(row[line])} without frequency {k}" for line, k in ks.items() if row[line] == row[line]])
        for _, row in wide.iterrows()
    )
    return tuple(
        f"{at(run, step)} the training loss is {words or 'not defined'}."
        for step, words in zip(steps, without, strict=True)
    )


def _null_lines(run: Run) -> pd.DataFrame:
    """Means over draws of the losses at random frequencies, as lines of their own."""
    means: Any = progress_of(run).nulls.groupby(["step", "measure"], sort=False)["value"].mean()
    null = means.reset_index()
    return null.assign(measure=null["measure"] + NULL)


def _tables(run: Run) -> list[Block]:
    values = measure_snapshot(run.last)
    units = {measure.name: measure.unit for measure in choose(None)}
    numbers = [(name, value, units[name]) for name, value in values.items() if isinstance(value, float)]
    caption = (
        f"{at(run, run.last.step)}, the last snapshot: every measure that is a single number. groklens-measures --list "
        "gives the sources."
    )
    tables: list[Block] = [Table(pd.DataFrame(numbers, columns=["measure", "value", "unit"]), caption, id="measures")]
    reasons: dict[str, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, Unavailable):
            reasons.setdefault(value.reason, []).append(name)
    if reasons:
        rows = [(reason, ", ".join(names)) for reason, names in reasons.items()]
        frame = pd.DataFrame(rows, columns=["reason", "measures"])
        tables.append(Table(frame, "Measures that do not apply to this run.", id="unavailable"))
    return tables
