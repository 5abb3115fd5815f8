"""Stochastic gradient descent for R models at once."""

from jaxtyping import Float
from torch import Tensor


def sgd(
    values: Float[Tensor, "R n"],
    grads: Float[Tensor, "R n"],
    velocity: Float[Tensor, "R n"],
    momentum: Float[Tensor, "R 1"],
    lr: Float[Tensor, "R 1"],
    weight_decay: Float[Tensor, "R 1"],
) -> None:
    """Gradient descent with heavy-ball momentum and coupled weight decay, as torch.optim.SGD."""
    velocity.mul_(momentum).add_(grads).addcmul_(weight_decay, values)
    values.addcmul_(lr, velocity, value=-1)
