"""A check that saved tensors fit a config's model, without building the model."""

from collections.abc import Mapping

import torch
from torch import Tensor

from train.config.run import RunConfig
from train.errors import DataError

from .config import hooked_config
from .mlp import HookedMLP
from .transformer import HookedTransformer


def check_sizes(config: RunConfig, tensors: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors that do not fit the config's model: another number of layers, other names or shapes.

    Layers are counted first, and shapes come from a model on the meta device: so a damaged config with 10,000 layers,
    or with a width that exceeds the memory, costs neither time nor memory.

    Args:
        config: the run's config.
        tensors: the model's tensors, by name.
        what: name of the tensors' source in the error message.

    Raises:
        DataError: a tensor is missing, unknown or of another shape; the message names the first.
    """
    n_layers = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
    if n_layers != config.model.n_layers:
        raise DataError(f"{what} does not fit its config: it has {n_layers} layers, not {config.model.n_layers}")
    expected = _shapes(config, what)
    odd = sorted(expected.keys() ^ tensors.keys())
    if odd:
        raise DataError(f"{what} does not fit its config: it {'has' if odd[0] in tensors else 'lacks'} {odd[0]!r}")
    for name, shape in expected.items():
        saved_shape = tuple(tensors[name].shape)
        if saved_shape != shape:
            raise DataError(f"{what} does not fit its config: {name} has shape {list(saved_shape)}, not {list(shape)}")


def _shapes(config: RunConfig, what: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the model's tensors by name."""
    kind = HookedTransformer if config.model.arch == "transformer" else HookedMLP
    try:
        with torch.device("meta"):
            model = kind(hooked_config(config))
    except RuntimeError as error:  # a shape with more elements than PyTorch can address
        raise DataError(f"{what} does not fit its config: {error}") from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
