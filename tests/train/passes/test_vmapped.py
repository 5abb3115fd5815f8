"""Stacks on accelerators: the code of a GPU, run on the CPU and on tensors without values.

``test_accelerator`` runs the same on a GPU.
"""

import contextlib
import gc
import types
import weakref
from typing import Any

import pytest
import torch

from tests.train.engine.test_shapes import CASES, variants

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 100
TOLERANCE = 1e-8
"""Relative, of the loss after ``STEPS`` steps of float64 in another order of sums."""


@pytest.fixture
def in_float64(monkeypatch):
    """Double-precision stacks: in float32 some runs drift apart by percents in 100 steps, from rounding alone."""
    from train.model import build_model

    monkeypatch.setattr("train.engine.stack.build_model", lambda config, device: build_model(config, device).double())


def stack_of(configs, monkeypatch, at_once=None):
    """A stack that runs its models together, on the CPU."""
    from train.engine.stack import Stack
    from train.passes.vmapped import VmappedPass

    def vmapped(self):
        return VmappedPass(self.ensemble, at_once)

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "_take_pass", vmapped)
        return Stack(configs, torch.device("cpu"))


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_each_run_is_its_single_run(tiny_config, monkeypatch, in_float64, changes):
    """Runs of different settings, taken two at a time with one left over, equal their single runs."""
    from train.engine.stack import Stack

    configs = variants(tiny_config, changes)
    together = stack_of(configs, monkeypatch, at_once=2)
    apart = [Stack([config], torch.device("cpu")) for config in configs]
    for _ in range(STEPS):
        losses = together.update()
        single = torch.cat([stack.update() for stack in apart])
    torch.testing.assert_close(losses, single, rtol=TOLERANCE, atol=0)
    assert (single[1:] / single[0] - 1).abs().min() > 1e-3  # control: they are different runs
    for k, stack in enumerate(apart):
        found, expected = together.evaluate([k])[0], stack.evaluate([0])[0]
        assert found["test_loss"] == pytest.approx(expected["test_loss"], rel=TOLERANCE)


def test_runs_leave_and_go_on(tiny_config, monkeypatch, in_float64):
    configs = variants(tiny_config, {})[:3]
    from train.engine.stack import Stack
    from train.passes.vmapped import VmappedPass

    def vmapped(self):
        return VmappedPass(self.ensemble)

    monkeypatch.setattr(Stack, "_take_pass", vmapped)

    left, whole = (Stack(configs, torch.device("cpu")) for _ in range(2))
    for step in range(20):
        if step == 10:
            left.keep([0, 2])
        losses, expected = left.update(), whole.update()
    torch.testing.assert_close(losses, expected[[0, 2]], rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("changes", [*CASES.values(), {"n_layers": 3, "norm": "pre", "act_fn": "gelu"}], ids=str)
def test_the_host_reads_nothing(tiny_config, monkeypatch, changes):
    """A step reads no value on the host and mixes no devices: both would fail on tensors without values."""
    from train.engine.stack import Stack

    for module in ("streams", "passes.dropout"):  # there are no generators there
        monkeypatch.setattr(f"train.{module}.stream", lambda seed, name, device="cpu": None)
    stack = Stack(variants(tiny_config, changes), torch.device("meta"))
    for _ in range(4):
        assert stack.update().shape == (5,)
    with pytest.raises((RuntimeError, NotImplementedError)):  # control
        stack.update().tolist()


def test_tables_too_large_for_products(tiny_config, monkeypatch, in_float64):
    from train.passes import vmapped

    config = variants(tiny_config, {})[:1]
    found = []
    for most in (1024, 1):
        monkeypatch.setattr(vmapped, "MOST_ENTRIES", most)
        stack = stack_of(config, monkeypatch)
        stack.update()
        found.append(stack.weights.grads.clone())
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-15)


class FakeGraph:
    """A stand-in for a CUDA graph, whose replay calls the recorded function."""

    recording: "FakeGraph | None" = None
    function = staticmethod(lambda: None)

    def replay(self):
        self.function()


@pytest.fixture
def cuda(monkeypatch):
    """A fake torch.cuda with two devices for recording graphs; yields the recorded (graph, stream, device)."""
    from train.passes.vmapped import _side_stream

    recorded, current = [], [torch.device("cuda:0")]

    def made(device):
        return types.SimpleNamespace(device=device, wait_stream=lambda other: None)

    @contextlib.contextmanager
    def on(device):
        current.append(device)
        yield
        current.pop()

    @contextlib.contextmanager
    def record(graph, stream):
        recorded.append((graph, stream, current[-1]))
        yield

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "Stream", made)
    monkeypatch.setattr(torch.cuda, "current_stream", made)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    _side_stream.cache_clear()
    yield recorded
    _side_stream.cache_clear()


def test_a_pass_is_recorded_once(cuda, monkeypatch):
    from train.passes.vmapped import WARM_UP, Replay

    calls = []
    monkeypatch.setattr(FakeGraph, "function", staticmethod(lambda: calls.append("replayed")))
    replay = Replay(torch.device("cuda:0"))
    for _ in range(3):
        replay(lambda: calls.append("called"))
    assert calls == ["called"] * (WARM_UP + 1) + ["replayed"] * 3
    assert len(cuda) == 1
    Replay(torch.device("cpu"))(lambda: calls.append("plain"))  # control: no graph elsewhere
    assert calls[-1] == "plain" and len(cuda) == 1


def test_a_graph_is_recorded_on_the_device_of_its_tensors(cuda):
    """A graph is recorded on its tensors' device; PyTorch's default is the one current at the first graph."""
    from train.passes.vmapped import Replay

    for name in ("cuda:1", "cuda:0", "cuda:1"):
        Replay(torch.device(name))(lambda: None)
    assert [(stream.device, device) for _, stream, device in cuda] == [
        (torch.device(f"cuda:{i}"),) * 2 for i in (1, 0, 1)
    ]
    assert cuda[0][1] is cuda[2][1]  # one stream a device: each has a workspace of cuBLAS


def test_a_pass_that_is_dropped_frees_its_memory_at_once(tiny_config, monkeypatch):
    """A deleted pass frees its graph's activations at once; free memory decides how many models run at once."""
    stack: Any = stack_of(variants(tiny_config, {})[:3], monkeypatch)
    stack.update()
    before = weakref.ref(stack.taken)
    gc.disable()
    try:
        stack.keep([0, 1])
        assert before() is None
        vars(stack.taken)["itself"] = stack.taken  # control: a cycle is not freed
        again = weakref.ref(stack.taken)
        stack.keep([0])
        assert again() is not None
    finally:
        gc.enable()


@pytest.mark.parametrize("loss", ["softmax", "stablemax"])
def test_rows_without_an_answer_do_not_fill_batches(tiny_config, monkeypatch, in_float64, loss):
    """Row 0 of a / b, which has no answer, does not fill an epoch's last batch, short by 55 rows in batches of 20."""
    from train.config.settings import override
    from train.engine.stack import Stack

    config = override(tiny_config, {"op": "div", "batch_size": 20, "loss": loss})
    assert not Stack([config], torch.device("cpu")).tasks[0].is_defined[0]
    together, apart = stack_of([config], monkeypatch), Stack([config], torch.device("cpu"))
    for _ in range(6):
        torch.testing.assert_close(together.update(), apart.update(), rtol=TOLERANCE, atol=0)
    assert min(len(apart.batches[0].at(step)) for step in range(6)) < 20


def test_models_at_once_are_counted_again_for_more_rows(tiny_config, monkeypatch):
    """A run resumed at an epoch's last batch of 15 rows counts again for the next, of 20."""
    from train.config.settings import override
    from train.passes.vmapped import VmappedPass

    stack = stack_of([override(tiny_config, {"op": "div", "batch_size": 20})] * 2, monkeypatch)
    stack.optimizer.steps = [2, 2]
    counted = []
    monkeypatch.setattr(VmappedPass, "_fitting", lambda self: counted.append(self.rows.shape[1]) or 2)
    for _ in range(4):
        stack.update()
    assert counted == [15, 20]


def test_models_at_once_by_memory(tiny_config, monkeypatch):
    """A pass of 10 MB with 100 MB free, of which 60 may be used, takes 6 models at once."""
    from train.passes.vmapped import VmappedPass

    stack = stack_of(variants(tiny_config, {})[:1] * 12, monkeypatch)
    taken = stack.taken
    assert isinstance(taken, VmappedPass)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 10_000_000)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100_000_000, 0))
    passes = []
    monkeypatch.setattr(taken, "_pass", lambda some, leaves: passes.append(some))
    assert taken._fitting() == 12  # a CPU takes all
    monkeypatch.setattr(taken, "device", torch.device("cuda"))
    assert taken._fitting() == 6
    assert passes == [slice(0, 1)] * 2
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 0))
    assert taken._fitting() == 1
