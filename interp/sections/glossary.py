"""The terms that the page uses, in a line each."""

import pandas as pd

from interp.html.blocks import Block, Table
from interp.html.numbers import percent
from interp.parts.irreps import has_irreps
from interp.parts.keyfreqs import KEY_SHARE
from interp.parts.memo import Unavailable
from interp.parts.rows import has_law
from interp.parts.structure import find_cycle
from interp.runs.run import Run

TABLES = {"terms": "the terms of the page, each with its meaning"}
"""Tables of this section by id: their contents."""
ALWAYS = {
    "accuracy": "share of pairs for which the right answer has the largest logit",
    "chance": "the accuracy of always giving the most frequent answer",
    "logit": "the network's score for an answer, before the softmax",
    "loss": "mean cross-entropy in nats: minus the natural logarithm of the probability of the right answer",
    "memorised": "answers its training pairs but not the others",
    "snapshot": "the network's weights at one step",
    "step": "number of updates of the weights done; 0 is the network before any",
    "test pairs": "pairs that the network is never trained on",
    "training pairs": "pairs that the network is trained on",
}
ON_A_CYCLE = {
    "circle": "points at cos and sin of k rounds: what a network that has learnt frequency k makes of its elements",
    "energy": "sum of squares; of the logits, after their mean over the answers is taken away",
    "frequency": "k: how many rounds cos and sin make while the elements run through the cycle once",
    "neuron-logit map": "the matrix from the last layer's neurons to the logits",
    "trustworthiness": "1 where neighbours in a map are neighbours among the rows that it shows",
}
WITH_A_LAW = {
    "clock": "a circuit that multiplies the circles of the two operands, by its attention",
    "pizza": "a circuit that adds the circles of the two operands and takes absolute values",
    "key frequency": f"a frequency with at least {percent(KEY_SHARE, 0)} of the logits' energy at the last snapshot",
    "restricted loss": "the loss if the logits, or the neurons, keep the key frequencies alone",
    "excluded loss": "the loss if the logits, or the neurons, lose the key frequencies",
    "distance irrelevance": "near 1 where the right answer's logit does not depend on a - b",
    "gradient symmetricity": "mean cosine between a logit's gradients in the two operands",
}
IN_A_GROUP = {
    "irrep": "an irreducible representation: in a group that is not cyclic it takes the place of a frequency",
}


def build(run: Run) -> list[Block]:
    """A table of the terms that apply to the run, in alphabetical order."""
    terms = dict(ALWAYS)
    if not isinstance(find_cycle(run.task), Unavailable):
        terms |= ON_A_CYCLE
    elif has_irreps(run):
        terms |= IN_A_GROUP
    terms |= WITH_A_LAW if has_law(run) else {}
    frame = pd.DataFrame(sorted(terms.items()), columns=["term", "meaning"])
    return [Table(frame, "Terms of this page.", id="terms")]
