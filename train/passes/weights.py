"""Parameters of K models of one shape, stacked: one row of numbers a model, seen as tensors by name."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class StackedWeights:
    """Weights and gradients of K models.

    ``values`` and ``grads`` hold the trained numbers, a row each; every tensor below is a view of ``values``, so
    an optimiser may step rows while a forward reads tensors.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        named = [dict(model.named_parameters()) for model in models]
        first = named[0]
        self.names = list(first)
        self.trained = {name: p.shape for name, p in first.items() if p.requires_grad}
        rows = [torch.cat([own[name].detach().flatten() for name in self.trained]) for own in named]
        self.frozen = {
            name: torch.stack([own[name].detach() for own in named]) for name in self.names if name not in self.trained
        }
        self._adopt(torch.stack(rows))

    def _adopt(self, values: Float[Tensor, "K n_trained"]) -> None:
        self.values, self.grads = values, torch.zeros_like(values)
        self.stacked = self.leaves(values) | self.frozen
        self.own = [self.leaves(row) | {name: t[k] for name, t in self.frozen.items()} for k, row in enumerate(values)]

    def leaves(self, values: Float[Tensor, "*K n_trained"]) -> dict[str, Tensor]:
        """Rows of trained numbers as tensors by name that require gradients: views."""
        return {name: value.detach().requires_grad_() for name, value in self.split(values).items()}

    def split(self, flat: Float[Tensor, "*K n_trained"]) -> dict[str, Tensor]:
        """Rows of trained numbers as tensors by name: views."""
        sizes = [shape.numel() for shape in self.trained.values()]
        pieces = flat.split(sizes, dim=-1)
        return {
            name: piece.unflatten(-1, shape) for (name, shape), piece in zip(self.trained.items(), pieces, strict=True)
        }

    def load(self, k: int, tensors: Mapping[str, Tensor]) -> None:
        """Set the weights of model ``k``.

        Raises:
            ValueError: names or shapes are not this model's.
        """
        if set(tensors) != set(self.names):
            odd = sorted(set(tensors) ^ set(self.names))
            raise ValueError(f"the tensors of this model differ in {', '.join(odd)}")
        with torch.no_grad():
            for name, tensor in tensors.items():
                if tensor.shape != self.own[k][name].shape:
                    raise ValueError(f"{name} has shape {list(tensor.shape)}, not {list(self.own[k][name].shape)}")
                self.own[k][name].copy_(tensor)

    def state(self, k: int) -> dict[str, Tensor]:
        """All tensors of model ``k`` by name; views."""
        return {name: self.own[k][name].detach() for name in self.names}

    def keep(self, chosen: Sequence[int]) -> None:
        """Drop all models but these."""
        index = list(chosen)
        self.frozen = {name: tensor[index].clone() for name, tensor in self.frozen.items()}
        self._adopt(self.values[index].clone())
