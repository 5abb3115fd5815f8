"""Parameters of K models of one shape, stacked: one row of flattened weights per model, with named views."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class StackedWeights:
    """Weights and gradients of K models.

    ``values`` and ``grads`` [K, n_trained] hold the trained weights and gradients, one row per model. The named tensors
    are views of ``values``, so the optimiser can update rows while the forward reads tensors.
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
        """Named views of rows of trained weights, as leaves that require gradients."""
        return {name: value.detach().requires_grad_() for name, value in self.split(values).items()}

    def split(self, flat: Float[Tensor, "*K n_trained"]) -> dict[str, Tensor]:
        """Named views of rows of trained weights, or of anything of that shape."""
        sizes = [shape.numel() for shape in self.trained.values()]
        pieces = flat.split(sizes, dim=-1)
        return {
            name: piece.unflatten(-1, shape) for (name, shape), piece in zip(self.trained.items(), pieces, strict=True)
        }

    def load(self, k: int, tensors: Mapping[str, Tensor]) -> None:
        """Set the weights of model ``k``.

        Raises:
            ValueError: names or shapes differ from the model's.
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
        """All tensors of model ``k`` by name, as views."""
        return {name: self.own[k][name].detach() for name in self.names}

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all models except ``kept``."""
        index = list(kept)
        self.frozen = {name: tensor[index].clone() for name, tensor in self.frozen.items()}
        self._adopt(self.values[index].clone())
