"""Loss and accuracy after ablating heads, neurons and frequencies."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.circuits import ablations
from interp.figures.effects import effects_figure
from interp.html.blocks import Block, Figure, Table, Text
from interp.html.numbers import percent
from interp.html.tracks import Track
from interp.measures.frequencies import FVE
from interp.parts.keyfreqs import key_freqs_of
from interp.parts.memo import NotApplicable
from interp.parts.pairs import best_frequency
from interp.parts.threads import threads_for
from interp.runs.run import Run
from interp.story.behaviour import ablation_claim, ablations_claim
from interp.story.keysteps import key_steps
from interp.story.standing import at, drawn_at, over_run

KEY_STEPS = 6
"""Number of snapshots; few, because each one takes some thirty ablations over all pairs."""
SOURCE = (
    "Heads: attn.hook_z; neurons: the last layer's mlp.hook_post, clusters by the frequency that explains more than "
    f"{percent(FVE, 0)} of a neuron's variance; frequencies: the parts at cos and sin of w(a+b) of neurons or "
    "logits, after [Nanda et al. 2023](https://arxiv.org/abs/2301.05217). Mean ablation replaces activations by "
    "their mean over all pairs."
)

FIGURES = {"effects": "loss and accuracy after each ablation"}
"""Figures of this section by id: their contents."""
TABLES = {"at_end": "effects of each ablation at the last snapshot"}
"""Tables of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """A figure of the effects over training, and a table of those at the last snapshot."""
    subset = "test" if run.task.is_train is not None and len(run.task.rows("test")) else "all"
    the = subset if subset == "all" else f"the {subset}"
    clusters, ks, why = _clusters(run)
    steps = tuple(key_steps(run.evaluations, run.steps, KEY_STEPS))

    def frame_at(step: int) -> pd.DataFrame:
        return labelled(ablations(run[step], clusters, ks, subsets=(subset,)))

    frames: list[Any] = threads_for(run).map(frame_at, steps)
    last = frames[-1]
    if len(last) == 1:
        return [Text(f"Not shown: an MLP has no heads, and there are no clusters of neurons: {why}.")]
    texts = tuple(ablation_claim(run, step, frame).text for step, frame in zip(steps, frames, strict=True))
    fig = effects_figure(last, np.concatenate([frame["loss_nats"] for frame in frames]))
    left_out = "Neurons" if ks else "Neurons and frequencies"
    why_not: list[Block] = [Text(f"{left_out} are not ablated: {why}.")] if why else []
    return [
        *why_not,
        Figure(
            id="effects",
            fig=fig,
            heading=f"Loss and accuracy over {the} rows after each ablation",
            takeaway=over_run(run, ablations_claim(run, last)),
            how="One row a part of the model. Dots to the right of the diamond's loss are ablations that hurt: the "
            "part is needed. Dots at the diamond are parts that the model can do without.",
            source=f"{SOURCE} Clusters and key frequencies are those of the last snapshot. {drawn_at(len(steps))}",
            alt="Dot plot of loss and accuracy after each ablation.",
            steps=steps,
            tracks=_tracks(fig, frames),
            texts=texts,
            columns={"trace": "ablation", "x": "loss (nats) or accuracy", "y": "part"},
        ),
        Table(
            last[["label", "how", "loss_nats", "accuracy", "loss_change_nats", "accuracy_change"]],
            f"{at(run, steps[-1])}: effects over {the} rows; changes are relative to the model without ablation.",
            id="at_end",
        ),
    ]


def _tracks(fig: Any, frames: Sequence[Any]) -> tuple[Track, ...]:
    """Positions of the dots of each trace at each step; traces alternate between loss and accuracy."""
    columns = ["loss_nats", "accuracy"] * (len(fig.data) // 2)
    return tuple(
        Track(i, "x", np.stack([frame.loc[frame["how"] == trace.name, column] for frame in frames]))
        for i, (trace, column) in enumerate(zip(fig.data, columns, strict=True))
    )


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with a column label, sorted so that the ablations of one part stand together."""
    is_whole = frame["kind"] == "none"
    kind = (frame["kind"] + " ").mask(frame["kind"] == "frequency", "")
    label = (kind + frame["part"].map(_short)).mask(is_whole, "whole model")
    with_labels = frame.assign(label=label, how=frame["how"].mask(is_whole, "no ablation"))
    place = {name: i for i, name in enumerate(dict.fromkeys(label))}
    return with_labels.sort_values("label", key=lambda labels: labels.map(place), kind="stable")


def _clusters(run: Run) -> tuple[dict[str, list[int]], tuple[int, ...], str]:
    """Neurons by key frequency, the key frequencies, and the reason if there are no such clusters (else "")."""
    keys: tuple[int, ...] = ()
    try:
        keys = key_freqs_of(run).ks
        best, share = best_frequency(run.last)
    except NotApplicable as reason:
        return {}, keys, str(reason)
    clusters = {f"k = {k}": ((best == k) & (share > FVE)).nonzero().flatten().tolist() for k in keys}
    return {name: neurons for name, neurons in clusters.items() if neurons}, keys, ""


def _short(part: str) -> str:
    """A short name for an ablated part, with "neurons" or "logits" in place of the hook's name."""
    head = re.fullmatch(r"L(\d+)H(\d+)", part)
    if head is not None:
        return f"{head[2]} of layer {head[1]}"
    ks, _, hook = part.partition(" in ")
    place = "neurons" if hook.endswith("mlp.hook_post") else "logits"
    return f"{ks.replace('k=', 'k = ').replace(',', ', ')} in {place}" if hook else part
