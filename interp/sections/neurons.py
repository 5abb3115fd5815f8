"""Neurons by frequency, and the activations of single neurons."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp.figures.images import images_figure
from interp.figures.neurons import neurons_figure
from interp.figures.progress import lines_figure
from interp.figures.style import CURSOR
from interp.html.blocks import Block, Figure, Link, Text
from interp.html.numbers import number, percent
from interp.html.tracks import Track
from interp.html.widgets import Widget, joined
from interp.measures.frequencies import FVE
from interp.parts.activations import neurons_of
from interp.parts.memo import NotApplicable
from interp.parts.pairs import best_frequency
from interp.parts.rows import law_of, table_of
from interp.parts.validity import NO_NEURONS
from interp.runs.run import Run
from interp.story.answers import table_links
from interp.story.claims import listed, said
from interp.story.frequencies import colours_of, image_links, line_links
from interp.story.keysteps import image_steps, key_steps
from interp.story.network import computed_of
from interp.story.over_training import progress_rows
from interp.story.standing import at, drawn_at, over_run
from interp.story.steps import last_cursor
from interp.story.transition import transition
from interp.story.weights import cluster_claim, no_cluster_claim, representative_claim, scatter_claim

N_CLUSTERS = 6
"""Largest number of clusters of which one neuron is drawn, the largest clusters first."""
N_LINES = 7
"""Largest number of clusters with a line of their own; the rest are summed in "other frequencies"."""
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("dom", "forward", "spectra", "model", "neuron")
NANDA = "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217)"
AXES = "a down, b to the right; activations after the nonlinearity, at the answer"

FIGURES = {
    "clusters": "number of neurons of each frequency over training",
    "scatter": "frequency of every neuron, and the share of variance it explains",
    "examples": "activations of one neuron of each cluster",
}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """Clusters over training, every neuron's frequency, one neuron of each cluster, and any neuron by number."""
    if run.config.model.attn_only:
        return [Text(f"Not shown: {NO_NEURONS}.")]
    try:
        law_of(run)
    except NotApplicable as reason:
        return [Text(f"Clusters by frequency are not shown: {reason}."), *_any_neuron(run)]
    return [_clusters(run), _scatter(run), *_representatives(run), *_any_neuron(run)]


def _clusters(run: Run) -> Figure:
    steps = tuple(run.steps)
    sizes = progress_rows(run, ("neuron_clusters",)).pivot(index="step", columns="k", values="value")
    wide: Any = sizes.reindex(list(steps)).fillna(0.0)
    last = wide.iloc[-1].sort_values(ascending=False)
    named = [k for k in last.index[:N_LINES] if last[k] > 0]
    lines: dict[str, Any] = {f"k = {k}": wide[k] for k in named}
    ks = {f"k = {k}": int(k) for k in named}
    if len(wide.columns) > len(named):
        lines["other frequencies"] = wide.drop(columns=named).sum(axis=1)
    frame = pd.DataFrame(lines).reset_index(names="step").melt("step", var_name="cluster")
    colours = dict(zip(ks, colours_of(run, ks.values()), strict=True)) | {"other frequencies": CURSOR}
    fig = lines_figure(frame, steps[-1], "cluster", "neurons", band=transition(run), colours=colours)
    d_mlp = run.last.model.cfg.d_mlp
    total = wide.sum(axis=1)
    texts = tuple(
        f"{at(run, step)} {int(total[step])} of {d_mlp} neurons follow a single frequency"
        + "".join(f"; frequency {k}: {int(wide.loc[step, k])}" for k in named)
        + "."
        for step in steps
    )
    return Figure(
        id="clusters",
        fig=fig,
        heading="Clusters of neurons by frequency",
        takeaway=over_run(run, cluster_claim(run, total, d_mlp)),
        how="One line a frequency: how many neurons follow it. A line that falls to nothing is a frequency that the "
        "network dropped; its neurons die or join another.",
        source=f"A neuron belongs to a frequency if the terms in cos and sin of wa, of wb, and their products explain "
        f"more than {percent(FVE, 0)} of its variance over all pairs; {NANDA} and TransformerLens' Grokking_Demo.",
        alt="Line chart of the number of neurons of each frequency against step.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=texts,
        links=line_links(fig, ks),
        columns={"trace": "frequency", "x": "step", "y": "neurons"},
    )


def _scatter(run: Run) -> Figure:
    """A figure of every neuron's best frequency and the share of variance that it explains, at the key steps."""
    steps = tuple(key_steps(run.evaluations, run.steps))
    freqs, fve = (np.stack(column) for column in zip(*(best_frequency(run[step]) for step in steps), strict=True))
    frame = pd.DataFrame({"neuron": range(fve.shape[1]), "k": freqs[-1], "fve": fve[-1]})
    shares = (fve > FVE).mean(axis=1)
    texts = tuple(
        f"{at(run, step)} one frequency explains more than {percent(FVE, 0)} of the variance of {percent(share)} of "
        f"the neurons; the median share is {percent(np.median(row))}."
        for step, share, row in zip(steps, shares, fve, strict=True)
    )
    return Figure(
        id="scatter",
        fig=neurons_figure(frame, FVE),
        heading="Every neuron's frequency",
        takeaway=over_run(run, scatter_claim(run, steps, shares.tolist(), FVE)),
        how="One point a neuron: to the right its best frequency, up how much of the neuron that frequency explains. A "
        "network that computes with few frequencies has columns of points at the top; an untrained one a cloud below.",
        source=f"Share of variance explained by the frequency that explains most of it; {NANDA}, their notebook. A "
        "neuron that never varies is drawn at 0.",
        alt="Scatter plot of the share of variance explained against the best frequency, a point a neuron.",
        steps=steps,
        tracks=(Track(0, "x", freqs), Track(0, "y", fve)),
        texts=texts,
        links=(Link(0, "neuron", "point", np.arange(fve.shape[1])), Link(0, "k", "x")),
        columns={"x": "best frequency k", "y": "share of variance explained"},
    )


def _representatives(run: Run) -> list[Block]:
    """Images of the neuron that each large cluster's frequency explains best, at a few snapshots."""
    best, share = best_frequency(run.last)
    sizes = best[share > FVE].bincount()
    by_size = [int(k) for k in sizes.argsort(descending=True, stable=True) if sizes[k] > 0]
    ks, left = by_size[:N_CLUSTERS], len(by_size[N_CLUSTERS:])
    if not ks:
        return [Text(said(no_cluster_claim(run, float(share.max()), FVE)))]
    chosen_neurons = [int(share.where(best == k, 0.0).argmax()) for k in ks]
    n = table_of(run).n
    steps = tuple(image_steps(run.evaluations, run.steps, n, len(ks)))
    grids = np.stack([run.task.as_grid(neurons_of(run[step])[:, chosen_neurons].numpy()) for step in steps])
    tops = np.abs(grids).max(axis=(1, 2))
    shares = grids / np.where(tops > 0, tops, 1.0)[:, None, None]
    texts = tuple(
        f"{at(run, step)} the largest absolute activations are "
        + listed([f"{number(most)} in neuron {neuron}" for neuron, most in zip(chosen_neurons, row, strict=True)])
        + "."
        for step, row in zip(steps, tops, strict=True)
    )
    titles = [f"neuron {neuron} (k = {k})" for neuron, k in zip(chosen_neurons, ks, strict=True)]
    return [
        Figure(
            id="examples",
            fig=images_figure(
                [shares[-1, :, :, i] for i in range(len(ks))],
                titles,
                "share of the largest",
                shared=(min(0.0, float(shares.min())), 1.0),
            ),
            heading="One neuron of each cluster",
            takeaway=said(representative_claim(run, dict(zip(chosen_neurons, ks, strict=True)), share, left)),
            how="One image a neuron, one cell a pair. k waves along a and along b are the mark of frequency k; "
            "diagonal waves depend on a + b, which is what the answer needs.",
            source=f"{AXES}, as a share of the neuron's largest absolute activation at the step. "
            f"{drawn_at(len(steps))}",
            alt=f"Images of the activations of {len(ks)} neurons over all pairs.",
            steps=steps,
            tracks=tuple(Track(i, "z", shares[:, :, :, i], coarse=True) for i in range(len(ks))),
            texts=texts,
            links=(
                *image_links(ks),
                *(Link(i, "neuron", "trace", np.array([neuron])) for i, neuron in enumerate(chosen_neurons)),
                *(link for i in range(len(ks)) for link in table_links(i)),
            ),
            columns={"trace": "neuron", "x": "b", "y": "a", "z": "share of its largest activation"},
        )
    ]


def _any_neuron(run: Run) -> list[Block]:
    """A widget that computes one neuron at the run's stages, or the reason why the page cannot."""
    try:
        computed = computed_of(run)
    except NotApplicable as reason:
        return [Text(f"A neuron of your choice is not shown: {reason}.")]
    members = computed.options["clusters"][0]["neurons"]
    first = members[int(neurons_of(run.last)[:, members].var(dim=0, correction=0).argmax())]
    return [
        Widget(
            id="any",
            heading="Any neuron",
            takeaway="Choose a neuron here, or in another panel: the page computes it from the network's weights.",
            how="The image shows on which pairs the neuron is active. The bars show at which frequency, or in which "
            "irrep, its activation varies, and with what: a, b, the answer or the difference. The lines show what it "
            "gets from each token, through every head at its mean attention over all pairs, and what it adds to each "
            "answer's logit.",
            source=f"{AXES}. Shares of the variance as in the figures above; {NANDA}.",
            alt="A number to choose a neuron; for each step an image of its activation over all pairs, its spectrum, "
            "and its weights by token.",
            name="neuron",
            script=joined(*(ASSETS / f"{name}.js" for name in SCRIPTS)),
            arrays=computed.arrays,
            options=computed.options | {"neuron": first, "noSpectrum": f"No spectrum: {computed.no_units}."},
            still="Neurons are computed by the page's scripts.",
        )
    ]
