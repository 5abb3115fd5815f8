"""The part of the logits that is a function of c - (a + b) alone, and its frequencies.

Measures of this function are named after the clock, as in their sources; but every circuit for addition produces
logits of this form, so none of the measures tells a clock from a pizza: see ``interp.story.verdict``.
For another operation a + b stands for the place of its answer in the cycle of its elements.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from interp.maths.fourier import real_basis
from interp.parts.keyfreqs import key_freqs_of, logit_coefficients, logit_cosines
from interp.parts.memo import part
from interp.parts.pairs import centred_logits, clock_profile, line_logits
from interp.parts.rows import law_of
from interp.runs.snapshot import Snapshot

from .registry import measure

NANDA = "Nanda et al. 2023 (2301.05217); TransformerLens' Grokking_Demo"
CHUGHTAI = "Chughtai et al. 2023 (2302.03025): the sum of squared cosines of centred logits with characters"
SPLIT = "exact split by successive least squares: a public analysis of Nanda et al.'s run, in our words"


@measure("cosine", "as logit_fve_all, before squaring")
def logit_cos(snap: Snapshot) -> dict[int, float]:
    """Cosine between the logits, centred over c, and cos w(a+b-c), over all pairs and all c, for each frequency."""
    return {k: float(cos) for k, cos in enumerate(logit_cosines(snap), start=1)}


@measure("logits", NANDA)
def logit_coefficient(snap: Snapshot) -> dict[int, float]:
    """Coefficient of the logits along cos w(a+b-c) scaled to unit norm over all pairs and c, for each frequency."""
    return {k: float(value) for k, value in enumerate(logit_coefficients(snap), start=1)}


@measure("share of logit energy", CHUGHTAI, chart="shares")
def logit_fve(snap: Snapshot) -> float:
    """Share of the centred logits' energy along cos w(a+b-c) of the run's key frequencies."""
    share = logit_cosines(snap).square()
    return float(sum(share[k - 1] for k in key_freqs_of(snap.run).ks))


@measure("share of logit energy", CHUGHTAI)
def logit_fve_all(snap: Snapshot) -> float:
    """Share of the centred logits' energy along cos w(a+b-c) of all frequencies together."""
    return float(logit_cosines(snap).square().sum())


@measure("share of logit norm", "TransformerLens' Grokking_Demo: logits not centred")
def logit_residual(snap: Snapshot) -> float:
    """Norm of the logits less their parts along cos w(a+b-c) of the key frequencies, over the norm of the logits."""
    total = _energy(snap)
    explained = sum(logit_coefficients(snap)[k - 1].square() for k in key_freqs_of(snap.run).ks)
    return float(((total - explained) / total).sqrt())


# ---- the form of the sum, junk, defect ---------------------------------------------------------------------------


@part
def _energy(snap: Snapshot) -> Float[Tensor, ""]:
    """Sum of the squares of the logits on the cycle."""
    law_of(snap.run)
    return line_logits(snap).square().sum()


def _centred(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Logits [line, pair of the line, element along the cycle], centred over the elements."""
    law_of(snap.run)  # a group that is no cycle has such logits too, but these measures are of a cycle
    return centred_logits(snap)


@part
def _clock(snap: Snapshot) -> Float[Tensor, "n n"]:
    """Part of the logits that is a function g(c - t) alone: [line, element]."""
    n = law_of(snap.run).n
    shift = (torch.arange(n) - torch.arange(n)[:, None]) % n
    return clock_profile(snap)[shift]


@part
def _defect(snap: Snapshot) -> Float[Tensor, "n n n"]:
    """Part of the logits that is neither constant over c nor g(c - t): [line, pair of the line, element]."""
    return _centred(snap) - _clock(snap)[:, None]


@measure("share of logit energy", SPLIT)
def junk_share(snap: Snapshot) -> float:
    """Share of the logits' squares in the mean over c, which changes no answer."""
    return float(1 - _centred(snap).square().sum() / _energy(snap))


@measure("share of logit energy", SPLIT)
def clock_share(snap: Snapshot) -> float:
    """Share of the logits' squares in a function of c - (a + b) alone: the form of any circuit for addition."""
    return float(law_of(snap.run).n ** 2 * clock_profile(snap).square().sum() / _energy(snap))


@measure("share of logit energy", SPLIT)
def defect_share(snap: Snapshot) -> float:
    """Share of the logits' squares that is neither a function of c - (a + b) alone nor constant over c."""
    return float(_defect(snap).square().sum() / _energy(snap))


@measure("logits", SPLIT)
def clock_margin(snap: Snapshot) -> float:
    """Margin g(0) - max of g elsewhere, g being the logits' part that is a function of c - (a + b) alone."""
    return _margin(clock_profile(snap))


@measure("logits", SPLIT)
def clock_margin_key(snap: Snapshot) -> float:
    """Margin g(0) - max of g elsewhere, g being the logits' part along cos w(a+b-c) of the key frequencies."""
    return _margin(_clock_at(snap, key_freqs_of(snap.run).ks))


@measure("logits", SPLIT)
def composition_defect(snap: Snapshot) -> float:
    """Largest distance of a centred logit from its mean over the pairs with the same answer."""
    centred = _centred(snap)
    return float((centred - centred.mean(dim=1, keepdim=True)).abs().max())


@measure("logits", SPLIT)
def shift_defect(snap: Snapshot) -> float:
    """Largest distance of the centred logits' means over the pairs with one answer from a function of c - (a + b)."""
    return float((_centred(snap).mean(dim=1) - _clock(snap)).abs().max())


@measure("share of pairs", SPLIT)
def certified_share(snap: Snapshot) -> float:
    """Share of pairs on which the margin of g exceeds twice the largest defect, so that g alone fixes the answer."""
    worst = _defect(snap).abs().amax(dim=-1)
    return float((clock_margin(snap) > 2 * worst).double().mean())


@part
def _clock_at(snap: Snapshot, ks: tuple[int, ...]) -> Float[Tensor, " n"]:
    """Part of the profile g along cos w d of these frequencies."""
    basis = real_basis(law_of(snap.run).n)[[2 * k - 1 for k in ks]]
    return basis.T @ (basis @ clock_profile(snap))


def _margin(profile: Float[Tensor, " n"]) -> float:
    return float(profile[0] - profile[1:].max())
