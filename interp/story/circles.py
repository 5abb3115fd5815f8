"""Circles: a matrix's rows on cos and sin of single frequencies, at every snapshot, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from interp.figures.circles import circles_figure
from interp.html.blocks import Link
from interp.html.numbers import percent
from interp.html.tracks import Track
from interp.maths.circles import circle_points
from interp.maths.fourier import frequency_energy
from interp.parts.readouts import Readout
from interp.parts.rows import cycle_of, table_of
from interp.runs.run import Run

from .claims import Claim, frequencies, listed
from .frequencies import keys_of
from .keysteps import fitting_steps
from .standing import at
from .words import READOUTS

N_CIRCLES = 6
"""Largest number of circles in one figure."""
CIRCLE_BYTES = 700_000
"""Largest size of a figure's points before compression; two bytes a point and step."""
QUANTILE, MARGIN = 0.98, 1.15
"""The frame holds the last snapshot's points, this share of those of half the others, and a margin."""
OPERANDS = {"W_E": "a", "W_E_b": "b"}
"""Whose embedding a matrix is, where the two operands have one each."""
HOW = (
    "One panel a frequency k, one point an element, coloured by its place after k rounds of the cycle. Where the "
    "network has learnt the frequency the points lie on a ring in the order of the colours; else they are a cloud. "
    "All panels have one scale, so a small ring is a weak one."
)


@dataclass(frozen=True, eq=False)
class Circles:
    """Small circles of one or two matrices, ready to be drawn."""

    fig: Any
    steps: tuple[int, ...]
    tracks: tuple[Track, ...]
    links: tuple[Link, ...]
    texts: tuple[str, ...]
    claim: Claim
    chosen: str
    """How the frequencies were chosen, as a sentence."""
    n_panels: int

    @property
    def drawing(self) -> dict[str, Any]:
        """Fields of ``Figure`` that are the same whatever matrix the circles are of."""
        return {
            "fig": self.fig,
            "how": HOW,
            "steps": self.steps,
            "tracks": self.tracks,
            "texts": self.texts,
            "links": self.links,
            "columns": {"trace": "circle", "x": "along cos", "y": "along sin"},
        }


def circles_of(run: Run, matrices: Sequence[Readout]) -> Circles:
    """The circles of the key frequencies; of the matrix's strongest ones where no frequency is key.

    Raises:
        NotApplicable: the elements form no cycle.
    """
    cycle = cycle_of(run)
    ks, chosen = _shown(run, matrices)
    steps = tuple(fitting_steps(run.evaluations, run.steps, 2 * cycle.n * len(ks) * len(matrices), CIRCLE_BYTES))
    stacks = [torch.stack([m.read(run.weights(step)) for step in steps])[:, cycle.order] for m in matrices]
    panels = []
    for matrix, W in zip(matrices, stacks, strict=True):
        name = f"{OPERANDS[matrix.name]}: " if len(matrices) > 1 else ""
        panels += [(f"{name}k = {k}", k, circle_points(W, k).double().numpy()) for k in ks]
    reach = _reach(np.stack([points for _, _, points in panels], axis=1))
    elements = [str(table_of(run).elements[i]) for i in cycle.order.tolist()]
    drawn = []
    for title, k, points in panels:
        turn = (k * np.arange(cycle.n) % cycle.n) / cycle.n
        frame = pd.DataFrame(points[-1], columns=["x", "y"]).assign(turn=turn, label=elements)
        drawn.append((title, frame))
    links: list[Link] = []
    for i, (_, k, _) in enumerate(panels):
        links += [Link(i, "k", "trace", np.array([k])), Link(i, "token", "point", cycle.order.numpy())]
    tracks = tuple(Track(i, "xy"[j], p[:, :, j], coarse=True) for i, (_, _, p) in enumerate(panels) for j in (0, 1))
    shares = np.stack([frequency_energy(W)[:, [k - 1 for k in ks]].sum(dim=1).numpy() for W in stacks])
    words = [READOUTS[m.name] for m in matrices]
    texts = tuple(_text(run, step, words, shares[:, i], len(ks)) for i, step in enumerate(steps))
    claim = _claim(run, words, matrices, shares, ks)
    return Circles(circles_figure(drawn, reach), steps, tracks, tuple(links), texts, claim, chosen, len(panels))


def _shown(run: Run, matrices: Sequence[Readout]) -> tuple[list[int], str]:
    """The frequencies to draw, and how they were chosen."""
    most, keys = max(1, N_CIRCLES // len(matrices)), keys_of(run)
    if keys:
        left = len(keys) - most
        more = f"; {left} more {'is' if left == 1 else 'are'} not drawn" if left > 0 else ""
        return list(keys[:most]), f"The key frequencies, the strongest first{more}."
    energy = frequency_energy(matrices[0].read(run.weights(run.steps[-1]))[cycle_of(run).order])
    ks = [k + 1 for k in energy.argsort(descending=True, stable=True)[:most].tolist()]
    return ks, f"No frequency is key: these are the strongest of the {READOUTS[matrices[0].name]} at the last snapshot."


def _reach(points: Float[np.ndarray, "s panels n 2"]) -> float:
    """Half the width of the panels' frames."""
    size = np.abs(points).reshape(len(points), -1)
    return MARGIN * float(max(size[-1].max(), np.median(np.quantile(size, QUANTILE, axis=1)))) or 1.0


def _text(run: Run, step: int, words: list[str], shares: np.ndarray, count: int) -> str:
    them = "this frequency holds" if count == 1 else f"these {count} frequencies hold"
    each = [f"{percent(share)} of the {word}'s squared norm" for word, share in zip(words, shares, strict=True)]
    return f"{at(run, step)} {them} {listed(each)}."


def _claim(run: Run, words: list[str], matrices: Sequence[Readout], shares: np.ndarray, ks: list[int]) -> Claim:
    """How much of the first matrix lies on these circles at the first and at the last snapshot drawn."""
    first, last, n = float(shares[0, 0]), float(shares[0, -1]), cycle_of(run).n
    numbers = {"last": last, "even": sum(2 if 2 * k < n else 1 for k in ks) / n}
    text = f"{percent(last)} of the {words[0]}'s squared norm lies at {frequencies(sorted(ks))}"
    if len(run.steps) > 1:
        numbers["first"] = first
        before, after = percent(first), percent(last)
        way = "rises" if last > first else "falls"
        change = (
            f"{way} from {before} to {after}"
            if before != after
            else f"is {after} at the start and at the end, as a share"
        )
        text = f"The part of the {words[0]} at {frequencies(sorted(ks))} {change} of its squared norm"
    text += f"; without structure it would be {percent(numbers['even'])}."
    return Claim(f"circles.{matrices[0].name}", text, numbers, "an even spread")
