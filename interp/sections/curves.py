"""What happened: loss and accuracy over training, and the outcome in sentences."""

from typing import Any

from interp.figures.curves import accuracy_figure, loss_figure
from interp.html.blocks import Block, Figure, Text
from interp.html.numbers import percent
from interp.runs.run import Run
from interp.story.claims import is_there, said
from interp.story.outcome import accuracy_claims, import_claims, listed_claims, loss_claims, nats
from interp.story.standing import at, over_run
from interp.story.steps import cursor_track, last_cursor, thinned

SOURCE = (
    "Losses: mean cross-entropy in nats, log-softmax in float64 "
    "([Nanda et al. 2023](https://arxiv.org/abs/2301.05217)); a pair counts as right if its answer has "
    "the largest logit. Data: log.jsonl, the rows with a test evaluation."
)
HOW = "The slider's step is the dotted line. Both axes of the losses are logarithmic: a straight line is a power law."
FIGURES = {"loss": "loss over training", "accuracy": "accuracy over training"}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A figure of the losses and, if the log has them, one of the accuracies, each with a cursor at the step."""
    if run.origin.kind == "imported":
        return [Text(said(*import_claims(run))), *of_the_source(run)]
    rows = run.evaluations
    if rows.empty:
        return [Text("Not shown: the curves come from the log, which holds no evaluations yet.")]
    steps = tuple(run.steps)
    logged = rows.set_index("step").reindex(list(steps))
    loss = Figure(
        id="loss",
        fig=loss_figure(rows, steps[-1]),
        heading="Loss over training",
        takeaway=over_run(run, *loss_claims(run)),
        how=HOW,
        source=SOURCE,
        alt="Line chart of train and test loss against step, both axes logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "loss") for step, row in logged.iterrows()),
        columns={"trace": "pairs", "x": "step", "y": "loss (nats)"},
    )
    if bool(rows[["train_acc", "test_acc"]].isna().to_numpy().all()):
        return [loss, Text("Accuracy over training is not shown: the log does not record it.")]
    accuracy = Figure(
        id="accuracy",
        fig=accuracy_figure(rows, steps[-1]),
        heading="Accuracy over training",
        takeaway=over_run(run, *accuracy_claims(run)),
        how="A network that memorises first answers its training pairs long before the others: the distance between "
        "the two curves is that delay.",
        source=SOURCE,
        alt="Line chart of train and test accuracy against step, step axis logarithmic.",
        steps=steps,
        tracks=(cursor_track(steps, trace=2),),
        texts=tuple(_text(run, step, row, "acc") for step, row in logged.iterrows()),
        columns={"trace": "pairs", "x": "step", "y": "share of pairs answered right"},
    )
    return [loss, accuracy]


def of_the_source(run: Run) -> list[Block]:
    """Figures of an imported run: values that its source recorded, labelled as such."""
    log: Any = run.log
    steps = tuple(run.steps)
    if log.empty:
        return [Text("Not shown: losses over training come from the log, and this run was imported without one.")]
    listed = f"as listed in {run.origin.source}: the source's own numbers, not computed here"
    figures: list[Block] = []
    for what, draw in (("loss", loss_figure), ("acc", accuracy_figure)):
        names = [f"{subset}_{what}" for subset in ("train", "test") if log[f"{subset}_{what}"].notna().any()]
        if not names or what == "loss" and not (log[names] > 0).to_numpy().any():
            continue
        rows = thinned(log.dropna(subset=names, how="all"))
        word = "Loss" if what == "loss" else "Accuracy"
        fig = draw(rows, steps[-1])
        figures.append(
            Figure(
                id=word.lower(),
                fig=fig,
                heading=f"{word} over training, as the source lists it",
                takeaway=over_run(run, *listed_claims(run, names)),
                how=HOW if what == "loss" else "The slider's step is the dotted line.",
                source=f"Values {listed}; {len(log):,} rows of log.jsonl, of which {len(rows):,} are drawn.",
                alt=f"Line chart of {word.lower()} against step, as the source lists it.",
                steps=steps,
                tracks=last_cursor(steps, fig),
                columns={"trace": "pairs", "x": "step", "y": "loss (nats)" if what == "loss" else "share right"},
            )
        )
    return figures or [Text(f"Not shown: none of the values can be drawn ({listed}).")]


def _text(run: Run, step: Any, row: Any, what: str) -> str:
    """The train and test values in the log at a snapshot's step, as a sentence."""
    form, word = (nats, "loss") if what == "loss" else (percent, "accuracy")
    parts = [
        f"{name} {word} is {form(row[f'{name}_{what}'])}"
        for name in ("train", "test")
        if is_there(row[f"{name}_{what}"])
    ]
    return f"{at(run, step)} {' and '.join(parts)}." if parts else f"{at(run, step)} nothing was logged."
