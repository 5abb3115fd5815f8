"""What the last snapshot loses when a part of it is taken away."""

from typing import Any

import pandas as pd

from ..circuits import ablations
from ..figures.effects import effects_figure
from ..html import Block, Figure, Table, Text
from ..keyfreqs import key_freqs_of
from ..measures.frequencies import FVE
from ..parts import NotApplicable, neuron_fve
from ..runs import Run

SOURCE = (
    "Heads: attn.hook_z; neurons: the last layer's mlp.hook_post, clusters by the frequency that explains more than "
    f"{FVE:.0%} of a neuron's variance; frequencies: the parts at cos and sin of w(a+b) of neurons or logits, after "
    "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217). Mean-ablation puts the mean over all pairs in place."
)


def build(run: Run) -> list[Block]:
    """A figure and the table behind it."""
    subset = "test" if run.task.is_train is not None and len(run.task.rows("test")) else "all"
    clusters, ks, why = _clusters(run)
    frame = ablations(run.last, clusters, ks, subsets=(subset,))
    whole = frame.iloc[0]
    if len(frame) == 1:
        return [Text(f"Not shown: an MLP has no heads, and there are no clusters of neurons: {why}.")]
    shown: Any = labelled(frame)
    worst = shown.loc[shown["loss_change_nats"].idxmax()]
    rest = f"; the model as it is: {whole['loss_nats']:.3g} nats, accuracy {whole['accuracy']:.1%}"
    why_not: list[Block] = [Text(f"Neurons and frequencies are not ablated: {why}.")] if why else []
    return [
        *why_not,
        Figure(
            fig=effects_figure(shown),
            heading=f"Ablations at step {run.last.step:,}",
            takeaway=f"Over the {subset} rows the costliest is {worst['label']} ({worst['how']}): loss "
            f"{worst['loss_nats']:.3g} nats, accuracy {worst['accuracy']:.1%}{rest}.",
            source=SOURCE,
            alt="Dot plot of loss and accuracy after each ablation.",
        ),
        Table(
            shown[["label", "how", "loss_nats", "accuracy", "loss_change_nats", "accuracy_change"]],
            f"Effects over the {subset} rows; changes are against the model as it is.",
        ),
    ]


def labelled(frame: pd.DataFrame) -> pd.DataFrame:
    """With a column label; the ways of taking out one part stand below each other."""
    is_whole = frame["kind"] == "none"
    kind = (frame["kind"] + " ").mask(frame["kind"] == "frequency", "")
    found = frame.assign(
        label=(kind + frame["part"].map(_short)).mask(is_whole, "as it is"), how=frame["how"].mask(is_whole, "nothing")
    )
    place = {label: i for i, label in enumerate(dict.fromkeys(found["label"]))}
    return found.sort_values("label", key=lambda labels: labels.map(place), kind="stable")


def _clusters(run: Run) -> tuple[dict[str, list[int]], tuple[int, ...], str]:
    """Neurons by key frequency, the key frequencies, and why there are none."""
    try:
        keys, fve = key_freqs_of(run).ks, neuron_fve(run.last)
    except NotApplicable as reason:
        return {}, (), str(reason)
    best = fve.max(dim=0)
    found = {f"k = {k}": ((best.indices + 1 == k) & (best.values > FVE)).nonzero().flatten().tolist() for k in keys}
    return {name: neurons for name, neurons in found.items() if neurons}, keys, ""


def _short(part: str) -> str:
    """Hooks in words."""
    ks, _, hook = part.partition(" in ")
    place = "neurons" if hook.endswith("mlp.hook_post") else "logits"
    return f"{ks.replace('k=', 'k = ').replace(',', ', ')} in {place}" if hook else part
