"""Norms of named weights, in the units of the weights and always in float64.

Source: the total L2 norm over training is a progress measure of Nanda et al. 2023 (2301.05217) and the axis
of Liu et al. 2023, Omnigrok (2210.01117). Deviation: the square root is taken; Nanda's notebook plots the
sum of squared weights.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def frobenius(tensors: dict[str, Float[Tensor, "..."]]) -> dict[str, float]:
    """Return the Frobenius norm (root of the sum of squares) of each tensor, under its own name."""
    return {name: torch.linalg.vector_norm(tensor, dtype=torch.float64).item() for name, tensor in tensors.items()}


def total_norm(tensors: dict[str, Float[Tensor, "..."]]) -> float:
    """Return the L2 norm of all the tensors as one vector; 0 where there are none. A repeated tensor counts twice."""
    return math.hypot(*frobenius(tensors).values())
