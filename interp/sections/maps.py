"""PCA, t-SNE and UMAP of the output layer's rows over training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from interp.figures.maps import map_figure
from interp.html.blocks import Block, Figure, Link, Text
from interp.html.numbers import fixed, number, percent
from interp.html.tracks import Track
from interp.maths.beside import umap_beside
from interp.maths.circles import chain_order, chain_step, circle_score, circle_score_null
from interp.maths.fourier import frequency_energy
from interp.maths.projections import pca_over_training, trustworthiness, tsne_over_training
from interp.parts.memo import Unavailable, part
from interp.parts.readouts import output_rows
from interp.parts.rows import table_of
from interp.parts.structure import Cycle, element_orders, find_cycle
from interp.runs.run import Run
from interp.story.claims import Claim, capital, is_there
from interp.story.keysteps import key_steps
from interp.story.standing import over_run
from interp.story.weights import map_claim, map_words
from train.tasks.task import Table

POWER_CHAIN = 8
"""Power et al. 2022, Figure 3, join n and n + 8."""
MOST_MAPS, FEWEST_MAPS = 24, 4
"""Largest and smallest number of snapshots for t-SNE and UMAP, most of them where the curves move."""
MOST_PAIRS = 1_500_000
"""Pairs of elements, over all snapshots, that bound the seconds which UMAP takes where elements are many."""
MIN_ROWS = 5
"""Smallest number of elements for which the three methods give a map."""


@dataclass(frozen=True)
class Method:
    """A way of making maps."""

    id: str
    name: str
    how: str
    """How the maps of different snapshots are related, as a phrase for the page."""
    source: str


PCA = Method(
    "pca",
    "PCA",
    "every snapshot on the last one's two principal axes",
    "principal component analysis; every snapshot is centred and projected on the last one's axes",
)
TSNE = Method(
    "tsne",
    "t-SNE",
    "each snapshot shown started from the next one's map",
    "van der Maaten & Hinton 2008, scikit-learn; perplexity min(30, (n-1)/3), fitted backwards from the last snapshot",
)
UMAP = Method(
    "umap",
    "UMAP",
    "each snapshot shown tied to its neighbours",
    "McInnes et al. 2018, umap-learn's AlignedUMAP",
)
FRAME_QUANTILE, MARGIN = 0.98, 1.15
"""The frame holds the last map, this share of the coordinates of half the others, and a margin."""
FIGURES = {method.id: f"{method.name} of the output layer's rows" for method in (PCA, TSNE, UMAP)}
"""Figures of this section by id: their contents."""


def begin(run: Run) -> None:
    """Start UMAP, the slowest part of a report, beside the sections that come first."""
    if run.task.table is not None and run.task.table.n >= MIN_ROWS:
        umap_of(run)


@part
def umap_of(run: Run) -> Callable[[], Float32[Tensor, "s n 2"]]:
    """A function that waits for the maps by UMAP of the output layer's rows at ``map_steps``."""
    steps, n = map_steps(run), table_of(run).n
    return umap_beside(run.stack(output_rows(n)).double()[[run.steps.index(step) for step in steps]])


def map_steps(run: Run) -> list[int]:
    """Steps of the snapshots that t-SNE and UMAP map."""
    most = min(MOST_MAPS, max(FEWEST_MAPS, MOST_PAIRS // table_of(run).n ** 2))
    return key_steps(run.evaluations, run.steps, most)


def build(run: Run) -> list[Block]:
    """Three figures, each with trustworthiness and, on a cycle, a circle score and chains."""
    table = run.task.table
    if table is None or table.n < MIN_ROWS:
        return [Text(f"Not shown: maps need an all-pairs table of at least {MIN_ROWS} elements.")]
    steps = run.steps
    rows = run.stack(output_rows(table.n)).double()
    few_steps = map_steps(run)
    few_rows = rows[[steps.index(step) for step in few_steps]]
    pca, explained = pca_over_training(rows)
    tsne, kl = tsne_over_training(few_rows)
    cycle = find_cycle(run.task)
    view = _View(run, table, cycle if isinstance(cycle, Cycle) else None, rows[-1])
    shares, divergence = explained.sum(dim=-1).tolist(), kl.tolist()
    variances = [f"the two axes hold {percent(share)} of the variance" if is_there(share) else "" for share in shares]
    divergences = [f"KL divergence {number(value)} nats" if is_there(value) else "" for value in divergence]
    return [
        Text(view.intro(cycle)),
        view.figure(PCA, steps, rows, pca, variances),
        view.figure(TSNE, few_steps, few_rows, tsne, divergences),
        view.figure(UMAP, few_steps, few_rows, umap_of(run)(), [""] * len(few_steps)),
    ]


class _View:
    """The colours, chains and scores of one run's points, which the three figures share."""

    def __init__(self, run: Run, table: Table, cycle: Cycle | None, last: Float[Tensor, "n d"]) -> None:
        self.run, self.n_steps = run, len(run.steps)
        self.table, self.cycle = table, cycle
        self.k, self.chains = None, {}
        colours: dict[str, np.ndarray] = {}
        self.is_cyclic: dict[str, bool] = {}
        if cycle is not None:
            self.k = int(frequency_energy(last[cycle.order]).argmax()) + 1
            place = torch.full((table.n,), torch.nan, dtype=torch.float64)
            place[cycle.order] = (self.k * torch.arange(cycle.n) % cycle.n).double() / cycle.n
            colours[f"turn at frequency {self.k}"] = place.numpy()
            self.chains = _chains(cycle, self.k)
            colours[f"{self._word} mod {POWER_CHAIN}"] = self._log_or_residue() % POWER_CHAIN
        elif isinstance(table.structure, str):
            colours["order of the element"] = element_orders(table.structure).numpy()
        else:
            colours["residue"] = np.arange(table.n)
        self.colours = colours
        self.is_cyclic = dict.fromkeys(colours, cycle is not None)

    @property
    def _word(self) -> str:
        return "discrete log" if self.cycle is not None and self.cycle.is_multiplicative else "residue"

    def _log_or_residue(self) -> np.ndarray:
        assert self.cycle is not None
        values = np.full(self.table.n, np.nan)
        values[self.cycle.order.numpy()] = np.arange(self.cycle.n)
        return values

    def intro(self, cycle: Cycle | Unavailable) -> str:
        """The paragraph that explains the points and how to read the scores."""
        text = (
            f"Each point is a row of the output layer for one of {self.table.n} elements. Trustworthiness is 1 if "
            "points that are neighbours in the map are neighbours among the rows."
        )
        if self.n_steps > 1:
            text += " The axes are scaled to the last map, so points of wider maps may lie outside."
        if isinstance(cycle, Unavailable):
            return f"{text} There is no circle score: {cycle.reason}."
        text += (
            f" The circle score is 1 if the elements follow one another round a ring; {percent(0.95, 0)} of maps "
            f"without structure stay below {fixed(circle_score_null(cycle.n))}."
        )
        if len(self.chains) and next(iter(self.chains)).endswith(f"(k = {self.k})"):
            text += (
                f" Lines join each {self._word} j to j + s; for the strongest frequency of the last snapshot's rows, "
                f"{self.k}, ring neighbours are s apart, with s k = ±1 mod {cycle.n}."
            )
        if len(self.chains) > 1:
            text += f" Click the legend to show the +{POWER_CHAIN} chain and its colours (Power et al. 2022)."
        return text

    def figure(
        self,
        method: Method,
        steps: list[int],
        rows: Float[Tensor, "s n d"],
        maps: Float[Tensor, "s n 2"],
        notes: list[str],
    ) -> Figure:
        """The figure of one method's maps [s, n, 2] of ``rows`` at ``steps``, with a note for the text of each step."""
        scores = [self._scores(rows[i], maps[i]) for i in range(len(steps))]
        texts = [map_words(self.run, step, *scores[i], notes[i]) for i, step in enumerate(steps)]
        centred = maps.double() - maps.double().mean(dim=1, keepdim=True)
        points = centred.numpy()
        spread = centred.abs().flatten(1)
        reach = MARGIN * float(max(spread[-1].max(), spread.quantile(FRAME_QUANTILE, dim=1).median()))
        walks = {name: _walk(points, walk) for name, walk in self.chains.items()}
        last = {key: pd.DataFrame(walk[-1], columns=["x", "y"]) for key, walk in walks.items()}
        frame = pd.DataFrame(points[-1], columns=["x", "y"]).assign(label=list(self.table.elements), **self.colours)
        arrays = [*walks.values(), *([points] * len(self.colours))]
        tracks = tuple(Track(t, axis, a[:, :, i]) for t, a in enumerate(arrays) for i, axis in enumerate("xy"))
        return Figure(
            id=method.id,
            fig=map_figure(frame, last, self.is_cyclic, reach),
            heading=f"{method.name} of the output layer's rows",
            takeaway=over_run(self.run, self._claim(method, scores[-1])),
            how=f"{f'{capital(method.how)}. ' if len(steps) > 1 else ''}{self._how}",
            source=f"{capital(method.source)}. Rows: W_U. After [Power et al. "
            "2022](https://arxiv.org/abs/2201.02177), Figure 3.",
            alt=f"Scatter plot of {self.table.n} elements by {method.name}, coloured by {next(iter(self.colours))}.",
            steps=tuple(steps),
            tracks=tracks,
            texts=tuple(texts),
            links=tuple(
                Link(len(walks) + i, "token", "point", np.arange(self.table.n)) for i in range(len(self.colours))
            ),
            columns={"trace": "line or colouring", "x": "map axis 1", "y": "map axis 2"},
        )

    def _scores(
        self, rows: Float[Tensor, "n d"], points: Float[Tensor, "n 2"]
    ) -> tuple[float, tuple[float, int] | None]:
        """Trustworthiness, and on a cycle the circle score with its frequency."""
        trust = float(trustworthiness(rows, points))
        if self.cycle is None:
            return trust, None
        score, k = circle_score(points[self.cycle.order])
        return trust, (float(score), int(k))

    def _claim(self, method: Method, score: tuple[float, tuple[float, int] | None]) -> Claim:
        return map_claim(self.run, method.name, *score, None if self.cycle is None else self.cycle.n)

    @property
    def _how(self) -> str:
        if self.cycle is None:
            return "One point an element: neighbours are elements that the output layer treats alike."
        return (
            "One point an element. A ring on which the colours follow one another, with the line going round it, is "
            "the cycle of a single frequency; several frequencies make a knot, and a cloud means no order at all."
        )


def _chains(cycle: Cycle, k: int) -> dict[str, list[int]]:
    """Chains of elements by name, as lists of elements with -1 where a line breaks; k's own chain comes first.

    k has none if it shares a factor with n; Power et al.'s is left out where it would join every element to itself.
    """
    chain_steps = {}
    try:
        step = chain_step(cycle.n, k)
        chain_steps[f"+{step} chain (k = {k})"] = step
    except ValueError:  # k and n share a factor: the ring has fewer places than there are elements
        pass
    if POWER_CHAIN % cycle.n:
        chain_steps.setdefault(f"+{POWER_CHAIN} chain (Power et al.)", POWER_CHAIN)
    order = cycle.order.tolist()
    return {
        name: [element for walk in chain_order(cycle.n, step) for element in [*(order[j] for j in walk), -1]]
        for name, step in chain_steps.items()
    }


def _walk(points: np.ndarray, walk: list[int]) -> np.ndarray:
    """Positions [s, len(walk), 2] along a walk, NaN where the line breaks."""
    padded = np.concatenate([points, np.full((len(points), 1, 2), np.nan)], axis=1)
    return padded[:, walk]
