"""Matrices of a model with one row per element of the task, read from its tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from interp.runs.run import Run
from train.tasks.task import Table

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Readout:
    """A matrix [n, d] of a model with one row per element, and how to read it from the weights."""

    name: str
    meaning: str
    read: Callable[[Weights], Float[Tensor, "n d"]]


def readouts(run: Run, table: Table) -> list[Readout]:
    """The embedding W_E, the output layer W_U (rows of W_U.T) and the neuron-logit map W_L = W_out W_U.

    Where the operands do not share their tokens, W_E_b is the second operand's embedding. Rows and logits of tokens
    that are not elements ("=", the operator) are left out. In a HookedMLP the neurons write to the logits directly, so
    W_U is the neuron-logit map; an attention-only model has neither neurons nor such a map. Source: Nanda et al. 2023
    (2301.05217).
    """
    n, last = table.n, run.config.model.n_layers - 1
    embeddings = [Readout("W_E", "embedding", lambda w: w["embed.W_E"][:n])]
    if not run.config.task.shared_vocabulary:
        embeddings.append(Readout("W_E_b", "embedding of the second operand", lambda w: w["embed.W_E"][n : 2 * n]))
    if run.config.model.arch == "mlp":
        return [*embeddings, Readout("W_L", "neuron-logit map W_U", lambda w: w["unembed.W_U"][:, :n].T)]
    output_layer = Readout("W_U", "output layer", output_rows(n))
    if run.config.model.attn_only:
        return [*embeddings, output_layer]
    return [
        *embeddings,
        output_layer,
        Readout(
            "W_L",
            "neuron-logit map W_out W_U",
            lambda w: (w[f"blocks.{last}.mlp.W_out"] @ w["unembed.W_U"][:, :n]).T,
        ),
    ]


def output_rows(n: int) -> Callable[[Weights], Float[Tensor, "n d"]]:
    """Reads the rows of the output layer, one per element: W_U.T without the tokens that are not elements."""
    return lambda weights: weights["unembed.W_U"][:, :n].T
