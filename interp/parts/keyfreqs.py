"""Key frequencies and key irreps of a run: those that its logits use.

They are chosen once, at the run's last snapshot, and applied to every snapshot.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.html.cards import card
from interp.html.numbers import percent
from interp.maths.fourier import real_basis
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.errors import UsageError

from .irreps import Name, irreps_of
from .memo import NotApplicable, part
from .pairs import centred_logits, clock_profile, logit_means
from .rows import has_law, law_of

KEY_SHARE = 0.01
"""A frequency is key if it holds at least this share of the centred logits' energy."""


@dataclass(frozen=True)
class KeyFreqs:
    """Key frequencies, the strongest first, and how they were chosen."""

    ks: tuple[int, ...]
    origin: str
    """"given", or the rule and the snapshot by which the frequencies were chosen."""

    def _repr_html_(self) -> str:
        """A card for notebooks: the frequencies and how they were chosen."""
        return card("Key frequencies", {"k (cycles)": ", ".join(map(str, self.ks)), "chosen": self.origin})


def last_of(run: Run) -> str:
    """Words for the last snapshot: its step, or "the imported snapshot" where an import's step is unknown."""
    return f"step {run.last.step:,}" if run.origin.knows("step") else "the imported snapshot"


def key_freqs(run: Run) -> KeyFreqs:
    """The run's key frequencies and how they were chosen, with errors for a user at a prompt.

    Raises:
        UsageError: there are none (the reason is named), or a given frequency is out of range.
    """
    try:
        return key_freqs_of(run)
    except NotApplicable as reason:
        raise UsageError(f"{run.name} has no key frequencies: {reason}") from None


@part
def key_freqs_of(run: Run) -> KeyFreqs:
    """The frequencies given with the run; else those with 1% or more of the last snapshot's centred logit energy.

    Raises:
        UsageError: a given frequency is not one of the run's cycle.
        NotApplicable: the operation has no law, or no frequency reaches 1%.
    """
    n = law_of(run).n
    if run.given_key_freqs is not None:
        for k in run.given_key_freqs:
            if not 1 <= k <= n // 2:
                raise UsageError(f"key frequency {k} is out of range; it must be from 1 to {n // 2} for {n} elements")
        return KeyFreqs(run.given_key_freqs, "given")
    if not run.steps:
        raise NotApplicable("there are no snapshots yet to choose key frequencies from")
    share = logit_cosines(run.last).square()
    keys = [k for k in (share.argsort(descending=True, stable=True) + 1).tolist() if share[k - 1] >= KEY_SHARE]
    if not keys:
        raise NotApplicable(f"no frequency holds {percent(KEY_SHARE, 0)} of the logits' energy at {last_of(run)}")
    when = last_of(run) if run.is_done else f"{last_of(run)}, provisional: the run goes on"
    return KeyFreqs(tuple(keys), f"at least {percent(KEY_SHARE, 0)} of the centred logits' energy at {when}")


@part
def logit_coefficients(snap: Snapshot) -> Float[Tensor, " n_freqs"]:
    """Coefficient of the logits along cos w(a+b-c) scaled to unit norm over all (a, b, c), for k = 1..n//2, in logits.

    For another operation a+b is the place of its answer in the cycle. Computed for all k at once as the Fourier
    transform of the clock profile.
    """
    n = law_of(snap.run).n
    return n * (real_basis(n)[1::2] @ clock_profile(snap))


@part
def logit_cosines(snap: Snapshot) -> Float[Tensor, " n_freqs"]:
    """Cosine between the logits, centred over c, and cos w(a+b-c), for k = 1..n//2; 0 where all logits are equal."""
    coefficients, norm = logit_coefficients(snap), centred_logits(snap).norm()
    return coefficients / norm if norm > 0 else torch.zeros_like(coefficients)


# ---- irreps ----------------------------------------------------------------------------------------


@part
def key_irreps_of(run: Run) -> tuple[Name, ...]:
    """The key frequencies where the operation has a law; else irreps by the same rule, at the last snapshot.

    Raises:
        UsageError: a given frequency is not one of the run's cycle.
        NotApplicable: there are no irreps, or none reaches 1%.
    """
    if has_law(run):
        return key_freqs_of(run).ks
    names = tuple(name for name, cosine in irrep_cosines(run.last).items() if cosine**2 >= KEY_SHARE)
    if not names:
        raise NotApplicable(f"no irrep holds {percent(KEY_SHARE, 0)} of the logits' energy at {last_of(run)}")
    return names


@part
def irrep_coefficients(snap: Snapshot) -> dict[Name, float]:
    """Coefficient of the mean centred logits over the pairs with answer t along chi(t c^-1) of unit norm, by irrep."""
    irreps = irreps_of(snap.run)
    means = logit_means(snap)[:, irreps.order]
    return irreps.along_characters(means - means.mean(dim=1, keepdim=True))


@part
def irrep_cosines(snap: Snapshot) -> dict[Name, float]:
    """Cosine between the logits, centred over c, and chi(ab c^-1), over all pairs and all c, for each irrep.

    All n pairs with one answer t have the same chi(t c^-1), hence the factor sqrt(n).
    """
    norm, coefficients = centred_logits(snap).norm(), irrep_coefficients(snap)
    scale = len(irreps_of(snap.run).order) ** 0.5 / norm
    return {name: float(scale * value) for name, value in coefficients.items()}
