"""The last check before an imported run is written: every snapshot fits the model that the config describes."""

from train.errors import DataError
from train.model import hooked_config, parameter_shapes

from .common import Imported, checked


def check(imported: Imported) -> None:
    """Compare the names, shapes and values of all snapshots with the model of the config.

    Raises:
        DataError: a tensor is missing, unknown, of another shape, or not finite.
    """
    expected = {name: tuple(s) for name, s in parameter_shapes(hooked_config(checked(imported.config))).items()}
    for step, weights in imported.snapshots.items():
        for name, shape in expected.items():
            if name not in weights:
                raise DataError(f"{name} is missing at step {step}")
            if tuple(weights[name].shape) != shape:
                raise DataError(f"{name} has shape {tuple(weights[name].shape)} at step {step}; it must be {shape}")
            if not weights[name].isfinite().all():
                raise DataError(f"{name} holds values that are not finite, at step {step}")
        for name in weights:
            if name not in expected:
                raise DataError(f"{name} at step {step} has no place in the model")
