"""The type that interventions share, and checks of their arguments."""

from collections.abc import Callable, Iterable

from jaxtyping import Int
from torch import Tensor

from train.errors import UsageError
from train.model import HookedMLP, HookedTransformer

Hooks = list[tuple[str, Callable[..., Tensor]]]
"""Hook names and functions, for ``model.hooks(fwd_hooks=...)``."""
Numbers = Iterable[int] | Int[Tensor, " _"]
"""Indices of neurons, heads, rows and the like, from 0."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not one of ``allowed``.

    Raises:
        UsageError: the value is not allowed.
    """
    if value not in allowed:
        raise UsageError(f"{name} = {value!r}; choose one of {', '.join(map(repr, allowed))}")


def check_numbers(what: str, numbers: Iterable[int], size: int, place: str) -> None:
    """Refuse numbers that are not in 0..size-1.

    Raises:
        UsageError: a number is outside.
    """
    bad = [number for number in numbers if not 0 <= number < size]
    if bad:
        raise UsageError(f"{what} {bad[0]} is out of range: {place} has {size}, numbered 0 to {size - 1}")


def check_hooks(model: HookedTransformer | HookedMLP, names: Iterable[str]) -> None:
    """Refuse hooks that the model does not have, or that would never run.

    Raises:
        UsageError: a name that is not in ``model.hook_dict``.
        ValueError: a hook whose flag is off.
    """
    for name in names:
        model.check_hook_names([name])
        if isinstance(model, HookedTransformer):
            model.check_hooks_to_add(model.hook_dict[name], name)
