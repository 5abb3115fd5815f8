"""Key frequencies of a run: those that its logits use. Chosen once, at the end, and applied to every snapshot."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.html.cards import card
from interp.maths.fourier import real_basis
from interp.runs.run import Run
from interp.runs.snapshot import Snapshot
from train.errors import UsageError

from .memo import NotApplicable, part
from .pairs import centred_logits, clock_profile
from .rows import law_of

KEY_SHARE = 0.01
"""A frequency is key if it holds at least this share of the centred logits' energy."""


@dataclass(frozen=True)
class KeyFreqs:
    """Frequencies, the strongest first, and how they were chosen."""

    ks: tuple[int, ...]
    origin: str

    def _repr_html_(self) -> str:
        """A card for notebooks: the frequencies and how they were chosen."""
        return card("Key frequencies", {"k (cycles)": ", ".join(map(str, self.ks)), "chosen": self.origin})


def last_of(run: Run) -> str:
    """The last snapshot by its step, or, of an import whose step nothing tells, as "the imported snapshot"."""
    return f"step {run.last.step:,}" if run.origin.knows("step") else "the imported snapshot"


def key_freqs(run: Run) -> KeyFreqs:
    """The run's key frequencies and how they were chosen, for a REPL.

    Raises:
        UsageError: there are none, with the reason, or a given one is out of range.
    """
    try:
        return key_freqs_of(run)
    except NotApplicable as reason:
        raise UsageError(f"{run.name} has no key frequencies: {reason}") from None


@part
def key_freqs_of(run: Run) -> KeyFreqs:
    """The given ones; else those with at least 1% of the centred logits' energy at the last snapshot.

    Raises:
        UsageError: a given one is not a frequency of the run's cycle.
        NotApplicable: the operation has no law, or no frequency is that strong.
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
    chosen = [k for k in (share.argsort(descending=True, stable=True) + 1).tolist() if share[k - 1] >= KEY_SHARE]
    if not chosen:
        raise NotApplicable(f"no frequency holds {KEY_SHARE:.0%} of the logits' energy at {last_of(run)}")
    when = last_of(run) if run.is_done else f"{last_of(run)}, provisional: the run goes on"
    return KeyFreqs(tuple(chosen), f"at least {KEY_SHARE:.0%} of the centred logits' energy at {when}")


@part
def logit_coefficients(snap: Snapshot) -> Float[Tensor, " n_freqs"]:
    """Coefficient of the logits along the unit cube cos w(a+b-c), for k = 1..n//2, in logits.

    For another operation a+b is the place of its answer in the cycle. All k at once: the clock profile's transform.
    """
    n = law_of(snap.run).n
    return n * (real_basis(n)[1::2] @ clock_profile(snap))


@part
def logit_cosines(snap: Snapshot) -> Float[Tensor, " n_freqs"]:
    """Cosine between the logits, centred over c, and cos w(a+b-c), for k = 1..n//2; 0 where all logits are equal."""
    norm = centred_logits(snap).norm()
    return logit_coefficients(snap) / norm if norm > 0 else torch.zeros_like(logit_coefficients(snap))
