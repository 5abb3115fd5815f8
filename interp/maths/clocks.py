"""Whether a modular addition is computed by a clock or a pizza.

Source: Zhong et al. 2023 (2306.17844), section 4, and their notebook: a clock multiplies the operands' circles, so its
answers do not depend on a - b and the two operands' gradients differ; a pizza averages them.
"""

import random
from collections.abc import Callable
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int64
from numba import njit
from torch import Tensor

TRIPLES = 100
Logits = Callable[[Float[Tensor, "rows n_ctx d_model"]], Float[Tensor, "rows p"]]
"""From a model's token embeddings (before positions are added) to its answer's logits."""


def distance_irrelevance(by_difference: Float[Tensor, "n_differences n"]) -> float:
    """How little the right answer's logit depends on a - b: about 1 in a clock, 0.1 to 0.4 in a pizza.

    Line d holds the logits of the pairs whose difference is d. It is the mean over lines of the standard deviation
    within a line, over the standard deviation of all (Zhong et al. 2023, section 4.2, where a line runs over the sum).
    Float64. NaN where all are equal.
    """
    values = by_difference.double()
    return float(values.std(dim=1, correction=0).mean() / values.std(correction=0))


def sampled_triples(p: int, count: int = TRIPLES) -> Int64[Tensor, "count 3"]:
    """The triples (a, b, c) that the published values are means over: the first of a shuffle with seed 42.

    Python's ``random.Random(42).shuffle`` of all p^3 in lexicographic order, by the same draws.
    """
    n = p**3
    state = random.Random(42).getstate()[1]
    twister = np.random.MT19937()
    twister.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(state[:-1], dtype=np.uint32), "pos": state[-1]},
    }
    order, last = np.arange(n), n - 1
    while last > 0:
        last = _shuffle(order, last, twister.random_raw(2 * n).astype(np.uint32))
    chosen = torch.from_numpy(order[:count])
    return torch.stack([chosen // p**2, chosen // p % p, chosen % p], dim=1)


@njit(cache=True)
@no_type_check
def _shuffle(order, last, words):
    """Go on shuffling from position ``last`` down as Python does, while there are words; the next position.

    Python draws below m by the leading bits of a word, as many as m has, and again where they are not below m.
    """
    bits = 0
    while (last + 1) >> bits > 0:
        bits += 1
    for word in words:
        if last == 0:
            break
        while (last + 1) >> (bits - 1) == 0:
            bits -= 1
        drawn = np.int64(word) >> (32 - bits)
        if drawn <= last:
            order[last], order[drawn] = order[drawn], order[last]
            last -= 1
    return last


def gradient_symmetricity(
    logits: Logits, embeddings: Float[Tensor, "rows n_ctx d_model"], answers: Int64[Tensor, " rows"], a: int, b: int
) -> float:
    """Mean cosine between an answer's gradients in the two operands' embeddings: 1 in a pizza, lower in a clock.

    Args:
        logits: the model from its token embeddings on.
        embeddings: those of the rows.
        answers: of each row, the answer c whose logit is followed (any c, right or wrong).
        a, b: positions of the operands.

    Source: Zhong et al. 2023 (2306.17844), section 4.1.
    """
    leaf = embeddings.detach().requires_grad_()
    chosen = logits(leaf).gather(1, answers[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, leaf)
    return float(torch.nn.functional.cosine_similarity(gradient[:, a].double(), gradient[:, b].double()).mean())
