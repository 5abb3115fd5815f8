"""Norms of the weights."""

from interp.maths.norms import total_norm as norm_of_all
from interp.parts.activations import weights_of
from interp.runs.snapshot import Snapshot

from .registry import measure


@measure("L2 norm", "Nanda et al. 2023 (2301.05217), Omnigrok (Liu et al. 2022, 2210.01117); the root of their sum")
def total_norm(snap: Snapshot) -> float:
    """L2 norm of all the model's tensors as one vector, including fixed ones."""
    return norm_of_all(weights_of(snap))
