"""What the checks on an accelerator know of the package's inside: the one place to change when that changes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def accelerators_pass(device: Any) -> Iterator[None]:
    """Stacks made within take the pass of an accelerator, on a CPU too: a dry run tries what a GPU would run."""
    from train.vmapped import VmapForward

    with (
        contextlib.nullcontext()
        if device.type != "cpu"
        else _every_stack(lambda stack: VmapForward(stack.model, stack.tasks, stack.weights, stack.configs))
    ):
        yield


@contextlib.contextmanager
def autograd_pass() -> Iterator[None]:
    """Stacks made within take a model at a time, by autograd over the training forward, on any device."""
    from train.forwards import AutogradForward

    with _every_stack(
        lambda stack: AutogradForward(stack.model, stack.tasks, stack.weights, stack.threads, stack.configs)
    ):
        yield


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Stacks made within have weights of double precision."""
    from train import stack

    usual = stack.build_model
    stack.build_model = lambda config, device: usual(config, device).double()
    try:
        yield
    finally:
        stack.build_model = usual


def plain_pass() -> contextlib.AbstractContextManager[None] | None:
    """Stacks made within take the hooked model itself under autograd; None where this version has no such pass."""
    try:
        from train.passes.plain import PlainPass  # type: ignore[import-not-found]
    except ImportError:
        return None
    return _every_stack(lambda stack: PlainPass(stack.model, stack.configs, stack.tasks, stack.weights, stack.threads))


@contextlib.contextmanager
def _every_stack(made: Callable[[Any], Any]) -> Iterator[None]:
    from train.stack import Stack

    usual = Stack._forward
    Stack._forward = made  # type: ignore
    try:
        yield
    finally:
        Stack._forward = usual


def at_once(stack: Any) -> int:
    """How many models of a stack that has taken a step are taken together; 1 for a pass that takes one at a time."""
    chunks = getattr(stack.forward, "_leaves", None)
    return chunks[0][0].stop if chunks else 1


def estimate(config: Any) -> int:
    """Bytes that the package expects each further run of a stack to take."""
    from train.ensemble import bytes_per_run

    return bytes_per_run(config)


def refused(configs: list[Any], device: Any) -> str | None:
    """What the package says of more runs than it expects to fit; None where they fit."""
    from train.ensemble import check_memory
    from train.errors import UsageError

    try:
        check_memory(configs, device)
    except UsageError as error:
        return str(error)
    return None


def verdict_of(run: Any) -> str:
    """The run's verdict (clock, pizza, mixed, undecided or none), in a word."""
    try:
        from interp.story import verdict  # type: ignore[import-not-found]
    except ImportError:
        return "no verdict function"
    return str(verdict(run))
