"""Whether a modular addition is computed by a clock or a pizza.

Source: Zhong et al. 2023 (2306.17844), section 4, and their notebook: a clock multiplies the operands' circles, so its
answers do not depend on a - b and the two operands' gradients differ; a pizza averages them.
"""

import random
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

TRIPLES = 100
Logits = Callable[[Float[Tensor, "rows n_ctx d_model"]], Float[Tensor, "rows p"]]
"""From a model's token embeddings (before positions are added) to its answer's logits."""


def distance_irrelevance(correct: Float[Tensor, "p p"]) -> float:
    """How little the right answer's logit depends on a - b: about 1 in a clock, 0.1 to 0.4 in a pizza.

    ``correct[a, b]`` is the logit of a + b mod p. With rows s = a + b and columns d = a - b of the same numbers, it is
    the mean over d of the standard deviation over s, over the standard deviation of all (Zhong et al. 2023, section
    4.2). p must be odd, so that each (s, d) is one (a, b). Float64. NaN where all are equal.

    Raises:
        ValueError: p is even.
    """
    p = len(correct)
    if p % 2 == 0:
        raise ValueError(f"sums and differences tell pairs apart for odd p only, got {p}")
    a = torch.arange(p)[:, None]
    b = torch.arange(p)[None, :]
    by_sum = torch.empty(p, p, dtype=torch.float64)
    by_sum[(a + b) % p, (a - b) % p] = correct.double()
    return float(by_sum.std(dim=0, correction=0).mean() / by_sum.std(correction=0))


def sampled_triples(p: int, count: int = TRIPLES) -> Int64[Tensor, "count 3"]:
    """The triples (a, b, c) that the published values are means over: the first of a shuffle with seed 42."""
    triples = [(a, b, c) for a in range(p) for b in range(p) for c in range(p)]
    random.Random(42).shuffle(triples)
    return torch.tensor(triples[:count])


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
