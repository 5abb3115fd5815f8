"""Spectra of the embedding, the output layer and the neuron-logit map over training, by frequency or by irrep."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from interp.figures.progress import lines_figure
from interp.figures.spectra import spectrum_figure
from interp.html.blocks import Block, Figure, Link, Text
from interp.html.numbers import percent
from interp.html.tracks import Track
from interp.maths.characters import zero_energy
from interp.maths.fourier import constant_energy, frequencies, frequency_energy
from interp.parts.irreps import Irreps, irreps_of
from interp.parts.memo import NotApplicable, Unavailable
from interp.parts.readouts import Readout, readouts
from interp.parts.rows import table_of
from interp.parts.structure import Cycle, find_cycle
from interp.runs.run import Run
from interp.story.frequencies import colours_of
from interp.story.standing import at, over_run
from interp.story.steps import cursor_track, last_cursor
from interp.story.transition import transition
from interp.story.weights import irrep_claim, spectrum_claim, strongest_words
from interp.story.words import READOUTS, shares_words
from train.tasks.task import NO_TABLE

N_IRREPS = 8
"""Largest number of irreps drawn: those with the largest share at some snapshot."""
FIGURES = {
    "W_E": "spectrum of the embedding, by frequency or by irrep",
    "W_E_b": "spectrum of the second operand's own embedding",
    "W_U": "spectrum of the output layer",
    "W_L": "spectrum of the neuron-logit map",
}
"""Figures of this section by id: their contents."""


def build(run: Run) -> list[Block]:
    """One figure per matrix: by frequency where the elements are a cycle, by irrep in another group."""
    cycle, table = find_cycle(run.task), run.task.table
    if isinstance(cycle, Unavailable) or table is None:
        return _by_irrep(run, cycle)
    intro = (
        "Each matrix has one row per element. Its part at frequency k is the share of its squared norm in the cosine "
        f"and sine of k rounds, in the {cycle.name}; the constant (k = 0) is part of the total and is not drawn."
    )
    if cycle.is_multiplicative:
        intro += " Elements are ordered by discrete logarithm; 0 has none, and its row is left out of the spectrum."
    return [Text(intro), *(_figure(run, cycle, readout) for readout in readouts(run, table))]


def _by_irrep(run: Run, cycle: Cycle | Unavailable) -> list[Block]:
    """Energy of each matrix by irrep over training, or the reason why there is none if the task has no group."""
    reason = cycle.reason if isinstance(cycle, Unavailable) else NO_TABLE
    try:
        irreps, table = irreps_of(run), table_of(run)
    except NotApplicable:
        return [Text(f"Not shown: {reason}.")]
    intro = (
        f"{reason[:1].upper()}{reason[1:]}; irreps take the place of frequencies. Each matrix has one row per "
        "element; its energy in an irrep is the share of its squared norm in the irrep's matrix coefficients. Irreps "
        "are named by their degree and a number; the trivial one, the constant, is part of the total and is not drawn."
    )
    return [Text(intro), *(_irrep_figure(run, irreps, readout) for readout in readouts(run, table))]


def _irrep_figure(run: Run, irreps: Irreps, readout: Readout) -> Figure:
    steps, rows = tuple(run.steps), run.stack(readout.read).double()[:, irreps.order]
    total = rows.square().sum(dim=(1, 2))
    parts = {str(name): (basis @ rows).square().sum(dim=(1, 2)) for name, basis in irreps.bases.items()}
    shares = {name: (part / total).where(total > 0, float("nan")).tolist() for name, part in parts.items()}
    even = {str(name): len(basis) / basis.shape[1] for name, basis in irreps.bases.items()}
    # x == x is false for NaN, the share of a zero matrix
    kept = sorted(shares, key=lambda name: -max(x if x == x else 0.0 for x in shares[name]))[:N_IRREPS]
    frame = pd.DataFrame({"step": steps} | {name: shares[name] for name in sorted(kept)}).melt("step", var_name="irrep")
    fig = lines_figure(frame, steps[-1], "irrep", "share of squared norm", band=transition(run))
    left = len(shares) - len(kept)
    return Figure(
        id=readout.name,
        fig=fig,
        heading=f"Irreps of the {READOUTS[readout.name]}",
        takeaway=over_run(run, irrep_claim(run, readout.name, shares, even)),
        how="One line an irrep, named by its degree and a number. In a matrix without structure an irrep's share "
        "depends on its degree alone; a line far above that is a part that the network has learnt.",
        source=f"Matrix: {readout.name}, the {readout.meaning}. Share of the squared norm in the isotypic component "
        "of each irrep, |P W|^2 / |W|^2 with P[g, h] = (d/n) chi(g h^-1), [Chughtai et al. "
        "2023](https://arxiv.org/abs/2302.03025); a matrix without structure has d^2/n in an irrep of degree d, and "
        "twice that where the irrep is complex."
        + (
            f" The {len(kept)} irreps with the largest share at some snapshot; {left} others are not drawn."
            if left
            else ""
        ),
        alt=f"Line chart of the share of the {READOUTS[readout.name]}'s squared norm in each irrep against step.",
        steps=steps,
        tracks=last_cursor(steps, fig),
        texts=tuple(
            f"{at(run, step)} the irreps hold {shares_words((name, shares[name][i]) for name in sorted(kept))}."
            if total[i] > 0
            else f"{at(run, step)} the matrix is zero."
            for i, step in enumerate(steps)
        ),
        columns={"trace": "irrep", "x": "step", "y": "share of squared norm"},
    )


def _figure(run: Run, cycle: Cycle, readout: Readout) -> Figure:
    steps = tuple(run.steps)
    rows = run.stack(readout.read)
    on_cycle = rows[:, cycle.order]
    energy = frequency_energy(on_cycle)
    ks = frequencies(cycle.n)
    frame = pd.DataFrame({"step": np.repeat(steps, len(ks)), "k": ks * len(steps), "energy": energy.flatten().numpy()})
    constant = constant_energy(on_cycle)
    apart = zero_energy(rows) if cycle.is_multiplicative else None
    texts = tuple(
        _text(run, steps[i], energy[i], float(constant[i]), None if apart is None else float(apart[i]))
        for i in range(len(steps))
    )
    return Figure(
        id=readout.name,
        fig=spectrum_figure(frame, steps[-1], colours_of(run, ks)),
        heading=f"Spectrum of the {READOUTS[readout.name]}",
        takeaway=over_run(run, spectrum_claim(run, readout.name, energy, cycle.n)),
        how="Left, one row a frequency and one column a snapshot: bright rows are frequencies that the matrix has. "
        "Right, the column at the slider's step as bars, in the colours that the key frequencies have everywhere.",
        source=(
            f"Matrix: {readout.name}, the {readout.meaning}. e_k = (|cos_k|^2 + |sin_k|^2) / |W|^2 in the "
            "orthonormal real Fourier basis over the rows, [Nanda et al. 2023](https://arxiv.org/abs/2301.05217); "
            "for even cycles the last k has a cosine only."
        ),
        alt="Left, an image of energy share by frequency and step; right, bars of energy share by frequency at "
        f"the step, for the {READOUTS[readout.name]}.",
        steps=steps,
        tracks=(cursor_track(steps, trace=1), Track(2, "y", energy.numpy())),
        texts=texts,
        links=(Link(0, "k", "y"), Link(2, "k", "x")),
        columns={"x": "step", "y": "frequency k", "z": "share of squared norm"},
    )


def _text(run: Run, step: int, energy: Float[Tensor, " n_freqs"], constant: float, apart: float | None) -> str:
    text = f"{at(run, step)} {strongest_words(energy)}; the constant holds {percent(constant)}."
    return text if apart is None else f"{text} The row of 0 holds {percent(apart)} of the whole matrix."
