"""Scores that tell whether a network computes a modular addition by a clock or by a pizza.

Source: Zhong et al. 2023 (2306.17844), section 4, and their notebook. A clock multiplies the operands' circles, so that
its logits do not depend on a - b and the gradients of the two operands differ; a pizza averages the circles.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Logits = Callable[[Float[Tensor, "rows n_ctx d_model"]], Float[Tensor, "rows p"]]
"""A model as a function from token embeddings (before positions are added) to the logits of the answer."""


def distance_irrelevance(by_difference: Float[Tensor, "n_differences n"]) -> float:
    """Independence of the right answer's logit from a - b: about 1 in a clock, 0.1 to 0.4 in a pizza.

    Line d of ``by_difference`` holds the logits of the pairs whose difference is d. The score is the mean over lines of
    the standard deviation within a line, divided by the standard deviation of all logits (Zhong et al. 2023, section
    4.2, where a line runs over the sum). Float64; NaN where all logits are equal.
    """
    values = by_difference.double()
    return float(values.std(dim=1, correction=0).mean() / values.std(correction=0))


def gradient_symmetricity(
    logits: Logits, embeddings: Float[Tensor, "rows n_ctx d_model"], answers: Int64[Tensor, " rows"], a: int, b: int
) -> float:
    """Mean cosine between an answer's gradients in the two operands' embeddings: 1 in a pizza, lower in a clock.

    Args:
        logits: the model as a function of its token embeddings.
        embeddings: token embeddings of the rows.
        answers: for each row, the answer c whose logit is differentiated; c may be wrong.
        a, b: positions of the operands in a row.

    Source: Zhong et al. 2023 (2306.17844), section 4.1.
    """
    leaf = embeddings.detach().requires_grad_()
    total = logits(leaf).gather(1, answers[:, None]).sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    return float(torch.nn.functional.cosine_similarity(gradient[:, a].double(), gradient[:, b].double()).mean())
