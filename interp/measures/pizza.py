"""The scores by which Zhong et al. 2023 tell a clock from a pizza."""

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from interp.maths.clocks import distance_irrelevance as irrelevance
from interp.maths.clocks import gradient_symmetricity as symmetricity
from interp.maths.fourier import frequency_energy
from interp.parts.activations import logits_of
from interp.parts.embeddings import embedding_components
from interp.parts.memo import NotApplicable
from interp.parts.rows import law_of
from interp.parts.triples import sampled_triples
from interp.runs.snapshot import Snapshot

from .registry import measure

ZHONG = "Zhong et al. 2023 (2306.17844)"
CIRCLES = 4
"""Number of principal components whose circularity is averaged."""


@measure("-1 to 1", f"{ZHONG}, section 4.1, their notebook's 100 triples")
def gradient_symmetricity(snap: Snapshot) -> float:
    """Mean cosine between the gradients of a logit in both operands' embeddings, over 100 fixed (a, b, c).

    About 1 in a pizza, lower in a clock. Operands are elements of the cycle.
    """
    law, model, task = law_of(snap.run), snap.model, snap.task
    if law.sign != 1:
        raise NotApplicable("the operands' gradients are comparable in a sum only, not in a difference or quotient")
    triples = sampled_triples(law.n)
    rows = law.by_a[triples[:, 0], triples[:, 1]]
    tokens, answers = task.tokens[rows], law.cycle.order[triples[:, 2]]
    at_a, at_b = task.operand_position("a"), task.operand_position("b")

    def logits(embedded: Tensor) -> Tensor:
        hooks: list[Any] = [("hook_embed", lambda value, hook: embedded)]
        return model.run_with_hooks(tokens, fwd_hooks=hooks)[:, task.answer_positions[0]]

    return symmetricity(logits, model.embed(tokens), answers, at_a, at_b)


def _irrelevance(snap: Snapshot, values: Tensor) -> float:
    return irrelevance(values[law_of(snap.run).by_difference])


@measure("0 to 1", f"{ZHONG}, section 4.2")
def distance_irrelevance(snap: Snapshot) -> float:
    """Independence of the right answer's logit from a - b: about 1 in a clock, 0.1 to 0.4 in a pizza."""
    return _irrelevance(snap, logits_of(snap).gather(1, _labels(snap))[:, 0])


@measure("0 to 1", f"{ZHONG}, their published tables, which take the largest wrong logit by mistake")
def distance_irrelevance_best_wrong(snap: Snapshot) -> float:
    """Independence of the largest wrong logit from a - b; distance_irrelevance takes the right answer's logit."""
    wrong = logits_of(snap).scatter(1, _labels(snap), -torch.inf)
    return _irrelevance(snap, wrong.amax(dim=1))


def _labels(snap: Snapshot) -> Int64[Tensor, "rows 1"]:
    return snap.task.labels.clamp(min=0)


@measure("0 to 1", f"{ZHONG}, their notebook; 1 for exact circles")
def circularity(snap: Snapshot) -> float:
    """Mean over the first 4 principal components of W_E of the largest share of one frequency in a component."""
    return _circularity(snap, "a")


@measure(
    "0 to 1", f"{ZHONG}; their code adds both operands' rows and halves it, see docs/background/published_errors.md"
)
def circularity_b(snap: Snapshot) -> float:
    """Circularity (see the measure of that name) of the second operand's own embedding, where it has one."""
    return _circularity(snap, "b")


def _circularity(snap: Snapshot, operand: str) -> float:
    components = embedding_components(snap, operand)[:, :CIRCLES]
    return float(frequency_energy(components.T[..., None]).amax(dim=1).mean())
