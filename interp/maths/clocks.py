"""Whether a modular addition is computed by a clock or a pizza.

Source: Zhong et al. 2023 (2306.17844), section 4, and their notebook: a clock multiplies the operands' circles, so its
answers do not depend on a - b and the two operands' gradients differ; a pizza averages them.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

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
