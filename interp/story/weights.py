"""Claims about the weights: spectra, irreps, norms, maps, neurons, attention."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.maths.circles import circle_score_null
from interp.runs.run import Run

from .circuit import knows_step
from .claims import Claim, changed, is_there, listed
from .standing import at, untrained_step

N_NAMED = 5
"""Largest number of frequencies that a text names."""
LEAST = 5e-4
"""Smallest share that a text names: a smaller one would be written as 0.0%."""


def strongest(energy: Float[Tensor, " n_freqs"]) -> list[tuple[int, float]]:
    """The strongest frequencies with their shares: at most five, at most half of all, and 0.1% each."""
    top = energy.topk(min(N_NAMED, max(1, len(energy) // 2)))
    shares = [(int(i) + 1, float(v)) for v, i in zip(*top, strict=True)]
    return [(k, share) for k, share in shares if share >= LEAST] or shares[:1]


def strongest_words(energy: Float[Tensor, " n_freqs"]) -> str:
    """The strongest frequencies as a clause, or that the matrix is zero."""
    if float(energy.sum()) == 0:
        return "the matrix has no energy at any frequency"
    top = strongest(energy)
    named, total = ", ".join(f"k = {k} ({share:.1%})" for k, share in top), sum(share for _, share in top)
    if len(top) == 1:
        return f"the strongest frequency, k = {top[0][0]}, holds {total:.1%} of the energy"
    return f"the {len(top)} strongest frequencies hold {total:.1%} of the energy: {named}"


def spectrum_claim(run: Run, name: str, energy: Float[Tensor, "n_snapshots n_freqs"], n: int) -> Claim:
    """The strongest frequencies of a matrix at the last snapshot, compared with a matrix without structure."""
    top, step = strongest(energy[-1]), run.last.step
    total, even = sum(share for _, share in top), min(1.0, 2 * len(top) / n)
    numbers = {"share": total, "even": even} | {f"k={k}": share for k, share in top if total > 0}
    text = f"{at(run, step)} {strongest_words(energy[-1])}."
    if total > 0:
        text += f" In a matrix without structure, as many frequencies chosen beforehand would hold {even:.1%}"
        before = untrained_step(run)
        if before is not None and float(energy[0].sum()) > 0:
            numbers["untrained"] = sum(share for _, share in strongest(energy[0]))
            text += f"; the strongest before any update held {numbers['untrained']:.1%}"
        text += "."
    return Claim(f"spectra.{name}", text, numbers, "an even spread and the untrained snapshot")


def irrep_claim(run: Run, name: str, shares: Mapping[str, Sequence[float]], even: Mapping[str, float]) -> Claim:
    """The irreps that hold most of a matrix at the last snapshot, compared with a matrix without structure."""
    last = {irrep: values[-1] for irrep, values in shares.items() if is_there(values[-1])}
    top = sorted(last, key=lambda irrep: -last[irrep])[:2]
    if not top:
        return Claim(f"spectra.{name}.irreps", f"{at(run, run.last.step)} the matrix is zero.")
    numbers = {f"share {irrep}": last[irrep] for irrep in top} | {f"even {irrep}": even[irrep] for irrep in top}
    each = [f"{irrep} holds {last[irrep]:.1%} (without structure: {even[irrep]:.1%})" for irrep in top]
    text = f"{at(run, run.last.step)} irrep {listed(each)} of the squared norm."
    return Claim(f"spectra.{name}.irreps", text, numbers, "the irrep's share of a matrix without structure")


def norm_claims(run: Run, totals: Any, tensors: Any) -> list[Claim]:
    """How the norm of all weights changed, and which tensor is the largest at the end."""
    steps = [int(step) for step in totals.index]
    claims = [changed("norms.total", "The norm of all weights", steps, totals.tolist(), ".4g", "", knows_step(run))]
    if len(totals) > 2 and steps[0] < totals.idxmax() < steps[-1]:
        text = f"The norm peaked at {totals.max():.4g} at step {int(totals.idxmax()):,}."
        claims.append(Claim("norms.largest", text, {"largest": totals.max(), "step": int(totals.idxmax())}))
    if len(tensors):
        text = f"The tensor with the largest norm at the last snapshot is {tensors.idxmax()}, with {tensors.max():.4g}."
        claims.append(Claim("norms.tensor", text, {"norm": tensors.max(), "total": totals.iloc[-1]}))
    return [claim for claim in claims if claim is not None]


# ---- maps ------------------------------------------------------------------------------------------


def map_words(run: Run, step: int, trust: float, circle: tuple[float, int] | None, note: str) -> str:
    """The scores of a map at a step, as a sentence."""
    parts = [f"trustworthiness {trust:.2f}"] if is_there(trust) else []
    if circle is not None:
        parts.append(f"circle score {circle[0]:.2f} at k = {circle[1]}")
    return f"{at(run, step)}: {', '.join([*parts, *([note] if note else [])])}."


def map_claim(run: Run, method: str, trust: float, circle: tuple[float, int] | None, n: int | None, text: str) -> Claim:
    """Scores of the last snapshot's map, compared with the score that 95% of maps without structure stay below."""
    numbers: dict[str, float] = {"trustworthiness": trust} if is_there(trust) else {}
    against = "1, a map that keeps all neighbours"
    if circle is not None and n is not None:
        null = circle_score_null(n)
        numbers |= {"circle_score": circle[0], "k": circle[1], "null": null}
        verdict = "is above" if circle[0] > null else "does not exceed"
        meaning = "the ring is unlikely to be chance" if circle[0] > null else "the map gives no evidence of a ring"
        text += f" The circle score {verdict} {null:.2f}, which 95% of maps with random angles stay below: {meaning}."
        against += "; 95% of random maps"
    return Claim(f"maps.{method}", text, numbers, against)


# ---- neurons and attention -------------------------------------------------------------------------


def cluster_claim(run: Run, totals: Any, d_mlp: int) -> Claim:
    """How many neurons follow one frequency at the last snapshot, and how many did at the first."""
    last, first = int(totals.iloc[-1]), int(totals.iloc[0])
    numbers = {"last": last, "neurons": d_mlp}
    count = "no neuron follows" if last == 0 else f"{last:,} of {d_mlp:,} neurons follow{'s' * (last == 1)}"
    text = f"{at(run, run.last.step)}, {count} a single frequency"
    if len(totals) > 1:
        numbers |= {"first": first, "first_step": int(totals.index[0])}
        text += f"; at step {int(totals.index[0]):,}, {'none' if first == 0 else f'{first:,}'} did"
    return Claim("neurons.clusters", f"{text}.", numbers, "the first snapshot")


def no_cluster_claim(run: Run, largest: float, threshold: float) -> Claim:
    """That no neuron follows a single frequency, with the largest share of variance that one explains."""
    text = (
        f"{at(run, run.last.step)} no single frequency explains more than {threshold:.0%} of any neuron's variance; "
        f"the most is {largest:.1%}."
    )
    return Claim("neurons.no_cluster", text, {"largest": largest}, f"{threshold:.0%}")


def representative_claim(run: Run, neurons: Mapping[int, int], share: Float[Tensor, " d_mlp"], left: int) -> Claim:
    """The neuron that each large cluster's frequency explains best, with the share of its variance explained."""
    each = ", ".join(f"neuron {i} (k = {k}: {float(share[i]):.1%} of its variance)" for i, k in neurons.items())
    text = f"{at(run, run.last.step)}, the neuron of each cluster that its frequency explains best: {each}."
    more = f" {left} smaller cluster{'s are' if left > 1 else ' is'} left out." if left else ""
    numbers = {f"neuron {i}": float(share[i]) for i in neurons} | {"left_out": left}
    return Claim("neurons.representatives", text + more, numbers, "the share of variance explained")


def scatter_claim(run: Run, steps: Sequence[int], shares: Sequence[float], threshold: float) -> Claim:
    """The share of neurons that one frequency explains."""
    subject = f"The share of neurons with more than {threshold:.0%} of their variance explained by one frequency"
    claim = changed("neurons.share", subject, steps, shares, ".1%", "the first snapshot", knows_step(run))
    assert claim is not None
    return claim


def attention_claim(
    run: Run, pattern: Float[np.ndarray, "heads rows n_ctx"], words: Sequence[str], titles: list[str]
) -> Claim:
    """Mean attention of each head at the last snapshot, and how much attention to a differs between pairs."""
    at_a = run.task.operand_position("a")
    mean, to_a = pattern.mean(axis=1), pattern[:, :, at_a]
    names = [word if word in ("a", "b") else f"'{word}'" for word in words]
    each = [", ".join(f"{name} {x:.2f}" for name, x in zip(names, row, strict=True)) for row in mean]
    if len(titles) > 1 and len(set(each)) == 1:
        titles, each = ["every head"], each[:1]
    even, low, high = 1 / len(words), float(to_a.min()), float(to_a.max())
    numbers = {f"{title} to a": float(row[at_a]) for title, row in zip(titles, mean, strict=False)}
    numbers |= {"least": low, "most": high, "even": even}
    whole = f"Mean attention {_lower(at(run, run.last.step))} (uniform: {even:.2f}): "
    whole += "; ".join(f"{title}: {row}" for title, row in zip(titles, each, strict=True))
    same = f"{low:.2f}" == f"{high:.2f}"
    spread = f"is {low:.2f} for every pair" if same else f"lies between {low:.2f} and {high:.2f}, by head and pair"
    return Claim("attention.mean", f"{whole}. Attention to a {spread}.", numbers, "uniform attention")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
