"""Package internals that the accelerator checks use: the only file to change when these internals change."""

import contextlib
from collections.abc import Iterator
from typing import Any


def accelerators_pass(device: Any) -> contextlib.AbstractContextManager[None]:
    """Context in which stacks use the accelerator's pass, on a CPU too, so that a dry run exercises that pass."""
    from train.passes.vmapped import VmappedPass

    return _every_stack(VmappedPass) if device.type == "cpu" else contextlib.nullcontext()


def autograd_pass() -> contextlib.AbstractContextManager[None]:
    """Context in which stacks run one model at a time, by autograd over the training forward, on any device."""
    from train.passes.functional import FunctionalPass

    return _every_stack(FunctionalPass)


def plain_pass() -> contextlib.AbstractContextManager[None]:
    """Context in which stacks run the hooked model itself under autograd."""
    from train.passes.plain import PlainPass

    return _every_stack(PlainPass)


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Context in which stacks have float64 weights."""
    from train.engine import stack

    usual = stack.build_model
    stack.build_model = lambda config, device: usual(config, device).double()
    try:
        yield
    finally:
        stack.build_model = usual


@contextlib.contextmanager
def _every_stack(kind: Any) -> Iterator[None]:
    from train.engine.stack import Stack

    def taken(stack: Any) -> Any:
        return kind(stack.ensemble)

    usual = Stack._take_pass
    Stack._take_pass = taken  # type: ignore[method-assign]
    try:
        yield
    finally:
        Stack._take_pass = usual


def at_once(stack: Any) -> int:
    """Number of models that a stack processes together after its first step; 1 for a pass of single models."""
    chunks = getattr(stack.taken, "_leaves", None)
    return chunks[0][0].stop if chunks else 1


def estimate(config: Any) -> int:
    """Bytes that the package expects each further run of a stack to take."""
    from train.engine.shapes import bytes_per_run

    return bytes_per_run(config)


def refused(configs: list[Any], device: Any) -> str | None:
    """The package's error for more runs than it expects to fit in memory, or None."""
    from train.engine.shapes import check_memory
    from train.errors import UsageError

    try:
        check_memory(configs, device)
    except UsageError as error:
        return str(error)
    return None


def verdict_of(run: Any) -> str:
    """The run's verdict in one word: clock, pizza, mixed, undecided or none."""
    try:
        from interp.story import verdict  # type: ignore
    except ImportError:
        return "no verdict function"
    return verdict.verdict_of(run).kind
