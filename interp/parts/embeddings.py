"""Parts of a snapshot: the embeddings of the elements, in the order of the cycle, and their principal components."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.runs.run import Run
from interp.runs.snapshot import Snapshot

from .activations import weights_of
from .memo import NotApplicable, part
from .rows import cycle_of, table_of


@part
def element_tokens(run: Run, operand: str) -> Int64[Tensor, " n"]:
    """Tokens of the elements as operand "a" or "b", in the order of the cycle."""
    order = cycle_of(run).order
    if operand == "a":
        return order
    if run.config.task.shared_vocabulary:
        raise NotApplicable("both operands have the same embedding")
    return order + table_of(run).n


@part
def embedding_rows(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n d_model"]:
    """Embeddings of the elements, in the order of the cycle, float64."""
    return weights_of(snap)["embed.W_E"].double()[element_tokens(snap.run, operand)]


@part
def embedding_axes(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n_axes d_model"]:
    """Principal axes of the embeddings of the elements, the longest first."""
    rows = embedding_rows(snap, operand)
    return torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh


@part
def embedding_components(snap: Snapshot, operand: str = "a") -> Float[Tensor, "n n_axes"]:
    """Principal components: the centred embeddings of the elements along their principal axes."""
    rows = embedding_rows(snap, operand)
    return (rows - rows.mean(dim=0)) @ embedding_axes(snap, operand).T
