"""Claims about the weights: spectra, irreps, norms, maps, neurons, attention."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.html.numbers import fixed, number, percent
from interp.maths.circles import circle_score_null
from interp.runs.run import Run

from .circuit import knows_step
from .claims import Claim, capital, changed, frequencies, is_there, listed
from .standing import at, at_end, untrained_step
from .words import shares_words, weight_words

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
    if len(top) == 1:
        return f"the strongest frequency, {top[0][0]}, holds {percent(top[0][1])} of the squared norm"
    total = sum(share for _, share in top)
    return f"the {len(top)} strongest frequencies hold {percent(total)} of the squared norm: {shares_words(top)}"


def spectrum_claim(run: Run, name: str, energy: Float[Tensor, "n_snapshots n_freqs"], n: int) -> Claim:
    """The strongest frequencies of a matrix at the last snapshot, compared with a matrix without structure."""
    top = strongest(energy[-1])
    total, even = sum(share for _, share in top), min(1.0, 2 * len(top) / n)
    numbers = {"share": total, "even": even} | {f"k={k}": share for k, share in top if total > 0}
    if not total > 0:
        return Claim(f"spectra.{name}", f"{at_end(run)} {strongest_words(energy[-1])}.", numbers)
    ks = frequencies(sorted(k for k, _ in top))
    text = f"{capital(ks)} end{'s' * (len(top) == 1)} with {percent(total)} of the squared norm"
    before = untrained_step(run)
    if before is not None and float(energy[0].sum()) > 0:
        numbers["untrained"] = sum(share for _, share in strongest(energy[0]))
        text += f"; before any update the strongest {'one' if len(top) == 1 else len(top)} held "
        text += percent(numbers["untrained"])
    text += f". In a matrix without structure as many, chosen beforehand, would hold {percent(even)}."
    return Claim(f"spectra.{name}", text, numbers, "an even spread and the untrained snapshot")


def irrep_claim(run: Run, name: str, shares: Mapping[str, Sequence[float]], even: Mapping[str, float]) -> Claim:
    """The irreps that hold most of a matrix at the last snapshot, compared with a matrix without structure."""
    last = {irrep: values[-1] for irrep, values in shares.items() if is_there(values[-1])}
    top = sorted(last, key=lambda irrep: -last[irrep])[:2]
    if not top:
        return Claim(f"spectra.{name}.irreps", f"{at_end(run)} the matrix is zero.")
    numbers = {f"share {irrep}": last[irrep] for irrep in top} | {f"even {irrep}": even[irrep] for irrep in top}
    each = [f"{irrep} with {percent(last[irrep])} (without structure: {percent(even[irrep])})" for irrep in top]
    plural = "irreps end" if len(top) > 1 else "irrep ends"
    text = f"The largest {plural} with these shares of the squared norm: {listed(each)}."
    return Claim(f"spectra.{name}.irreps", text, numbers, "the irrep's share of a matrix without structure")


def norm_claims(run: Run, totals: Any, tensors: Any) -> list[Claim]:
    """How the norm of all weights changed, and which tensor is the largest at the end."""
    steps = [int(step) for step in totals.index]
    form = functools.partial(number, digits=4)
    claims = [changed("norms.total", "The norm of all weights", steps, totals.tolist(), form, "", knows_step(run))]
    if len(totals) > 2 and steps[0] < totals.idxmax() < steps[-1]:
        text = f"The norm peaked at {number(totals.max(), 4)} at step {int(totals.idxmax()):,}."
        claims.append(Claim("norms.largest", text, {"largest": totals.max(), "step": int(totals.idxmax())}))
    if len(tensors):
        part = weight_words(str(tensors.idxmax()), run.config.model.n_layers)
        text = f"The part with the largest norm at the last snapshot: {part}, with {number(tensors.max(), 4)}."
        claims.append(Claim("norms.tensor", text, {"norm": tensors.max(), "total": totals.iloc[-1]}))
    return [claim for claim in claims if claim is not None]


# ---- maps ------------------------------------------------------------------------------------------


def map_words(run: Run, step: int, trust: float, circle: tuple[float, int] | None, note: str) -> str:
    """The scores of a map at a step, as a sentence."""
    parts = [f"trustworthiness is {fixed(trust)}"] if is_there(trust) else []
    if circle is not None:
        parts.append(f"the circle score is {fixed(circle[0])} at frequency {circle[1]}")
    parts += [note] if note else []
    return f"{at(run, step)} {listed(parts) or 'the map has no score'}."


def map_claim(run: Run, method: str, trust: float, circle: tuple[float, int] | None, n: int | None) -> Claim:
    """Scores of the last snapshot's map, compared with the score that 95 % of maps without structure stay below."""
    numbers: dict[str, float] = {"trustworthiness": trust} if is_there(trust) else {}
    against = "1, a map that keeps all neighbours"
    text = f"{at_end(run)} the map keeps neighbours together to {fixed(trust)} of 1."
    if not is_there(trust):
        text = f"{at_end(run)} it is not defined whether the map keeps neighbours together."
    if circle is not None and n is not None:
        null = circle_score_null(n)
        numbers |= {"circle_score": circle[0], "k": circle[1], "null": null}
        is_ring = circle[0] > null
        meaning = "its ring is unlikely to be chance" if is_ring else "it gives no evidence of a ring"
        text += (
            f" {capital(meaning)}: it scores {'more' if is_ring else 'no more'} than the {fixed(null)} below which "
            f"{percent(0.95, 0)} of maps with random angles stay."
        )
        against += "; 95% of random maps"
    return Claim(f"maps.{method}", text, numbers, against)


# ---- neurons and attention -------------------------------------------------------------------------


def cluster_claim(run: Run, totals: Any, d_mlp: int) -> Claim:
    """How many neurons follow one frequency at the last snapshot, and how many did at the first."""
    last, first = int(totals.iloc[-1]), int(totals.iloc[0])
    numbers = {"last": last, "neurons": d_mlp}
    text = f"{last:,} of {d_mlp:,} neurons follow{'s' * (last == 1)} a single frequency"
    if len(totals) > 1:
        numbers |= {"first": first, "first_step": int(totals.index[0])}
        change = f"goes from {first:,} to {last:,}" if first != last else f"is {last:,} at the start and at the end"
        text = f"The number of neurons that follow a single frequency {change}, of {d_mlp:,}"
    return Claim("neurons.clusters", f"{text}.", numbers, "the first snapshot")


def no_cluster_claim(run: Run, largest: float, threshold: float) -> Claim:
    """That no neuron follows a single frequency, with the largest share of variance that one explains."""
    text = (
        f"{at_end(run)} no single frequency explains more than {percent(threshold, 0)} of any neuron's variance; the "
        f"most is {percent(largest)}."
    )
    return Claim("neurons.no_cluster", text, {"largest": largest}, percent(threshold, 0))


def representative_claim(run: Run, neurons: Mapping[int, int], share: Float[Tensor, " d_mlp"], left: int) -> Claim:
    """The neuron that each large cluster's frequency explains best, with the share of its variance explained."""
    each = [f"neuron {i} by frequency {k} ({percent(float(share[i]))})" for i, k in neurons.items()]
    text = f"Chosen at the last snapshot, with the share of variance explained: {listed(each)}."
    more = f" {left} smaller cluster{'s are' if left > 1 else ' is'} left out." if left else ""
    numbers = {f"neuron {i}": float(share[i]) for i in neurons} | {"left_out": left}
    return Claim("neurons.representatives", text + more, numbers, "the share of variance explained")


def scatter_claim(run: Run, steps: Sequence[int], shares: Sequence[float], threshold: float) -> Claim:
    """The share of neurons that one frequency explains."""
    subject = f"the share of neurons of which one frequency explains more than {percent(threshold, 0)}"
    claim = changed("neurons.share", subject, steps, shares, percent, "the first snapshot", knows_step(run))
    assert claim is not None
    return claim


def attention_claim(
    run: Run, pattern: Float[np.ndarray, "heads rows n_ctx"], words: Sequence[str], titles: list[str]
) -> Claim:
    """Mean attention of each head at the last snapshot, and how much attention to a differs between pairs."""
    at_a = run.task.operand_position("a")
    mean, to_a = pattern.mean(axis=1), pattern[:, :, at_a]
    names = [word if word in ("a", "b") else f"'{word}'" for word in words]
    each = [", ".join(f"{name} {fixed(x)}" for name, x in zip(names, row, strict=True)) for row in mean]
    if len(titles) > 1 and len(set(each)) == 1:
        titles, each = ["every head"], each[:1]
    even, low, high = 1 / len(words), float(to_a.min()), float(to_a.max())
    numbers = {f"{title} to a": float(row[at_a]) for title, row in zip(titles, mean, strict=False)}
    numbers |= {"least": low, "most": high, "even": even}
    text = f"{at_end(run)} the mean attention, which would be {fixed(even)} if it were uniform, is "
    text += "; ".join(f"in {title} {row}" for title, row in zip(titles, each, strict=True))
    if fixed(low) == fixed(high):
        spread = f"is {fixed(low)} for every pair"
    else:
        spread = f"lies between {fixed(low)} and {fixed(high)}, by head and pair"
    return Claim("attention.mean", f"{text}. Attention to a {spread}.", numbers, "uniform attention")
