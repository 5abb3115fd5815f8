"""Fourier spectra of the embedding, the output layer and the neuron-logit map, for every snapshot."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from ..figures.spectra import spectrum_figure
from ..html import Block, Figure, Text, Track
from ..maths.characters import zero_energy
from ..maths.fourier import constant_energy, frequencies, frequency_energy
from ..readouts import Readout, readouts
from ..runs import Run
from ..structure import Cycle, Unavailable, find_cycle
from .curves import cursor_track

N_NAMED = 5
"""Frequencies named in the texts."""


def build(run: Run) -> list[Block]:
    """One figure per matrix; for a structure without a cycle, the reason."""
    cycle = find_cycle(run.task)
    if isinstance(cycle, Unavailable):
        return [Text(f"Not shown: {cycle.reason}.")]
    assert run.task.table is not None
    intro = (
        "Each matrix has one row per element. Its energy at frequency k is the share of its squared norm in the "
        f"cosine and sine of k cycles, in the {cycle.name}; the constant (k = 0) is part of the total and is not drawn."
    )
    if cycle.is_multiplicative:
        intro += " Elements are ordered by discrete logarithm; the row of 0 has none and stands apart."
    return [Text(intro), *(_figure(run, cycle, readout) for readout in readouts(run, run.task.table))]


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
        _text(steps[i], energy[i], float(constant[i]), None if apart is None else float(apart[i]))
        for i in range(len(steps))
    )
    return Figure(
        fig=spectrum_figure(frame, steps[-1]),
        heading=f"Spectrum of {readout.name}, the {readout.meaning}",
        takeaway=f"At the last snapshot (step {steps[-1]:,}) {_strongest(energy[-1])}; at step {steps[0]:,} the same "
        f"number of strongest frequencies held {float(energy[0].topk(min(N_NAMED, len(ks))).values.sum()):.1%}.",
        source=(
            "e_k = (|cos_k|^2 + |sin_k|^2) / |W|^2 in the orthonormal real Fourier basis over the rows, "
            "[Nanda et al. 2023](https://arxiv.org/abs/2301.05217); for even cycles the last k has a cosine only."
        ),
        alt="Left, an image of energy share by frequency and step; right, bars of energy share by frequency at "
        f"the step, for {readout.name}.",
        steps=steps,
        tracks=(cursor_track(steps, trace=1), Track(2, "y", energy.numpy())),
        texts=texts,
    )


def _strongest(energy: Float[Tensor, " n_freqs"]) -> str:
    """The strongest frequencies with their shares."""
    top = energy.topk(min(N_NAMED, len(energy)))
    named = ", ".join(f"k = {int(i) + 1} ({float(v):.1%})" for v, i in zip(*top, strict=True))
    return f"the {len(top.values)} strongest frequencies hold {float(top.values.sum()):.1%} of the energy: {named}"


def _text(step: int, energy: Float[Tensor, " n_freqs"], constant: float, apart: float | None) -> str:
    text = f"At step {step:,}: {_strongest(energy)}; the constant holds {constant:.1%}."
    return text if apart is None else f"{text} The row of 0 holds {apart:.1%} of the whole matrix."
