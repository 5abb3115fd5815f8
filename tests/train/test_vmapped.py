"""Stacks on accelerators: what a GPU runs, run on the CPU, on tensors without values, and (marked) on a GPU."""

import contextlib
import types

import pytest
import torch
from test_ensemble import CASES, variants

pytestmark = pytest.mark.usefixtures("one_thread")
STEPS = 100
TOLERANCE = 1e-8
"""Relative, of the loss after ``STEPS`` steps of float64 in another order of sums."""


@pytest.fixture
def in_float64(monkeypatch):
    """Stacks of double precision: in float32 some of these runs part by percents in 100 steps, from rounding alone."""
    from train.model import build_model

    monkeypatch.setattr("train.stack.build_model", lambda config, device: build_model(config, device).double())


def stack_of(configs, monkeypatch, at_once=None):
    """A stack that takes its models together, on the CPU."""
    from train.passes.vmapped import VmappedPass
    from train.stack import Stack

    def vmapped(self):
        return VmappedPass(self.model, self.configs, self.tasks, self.weights, self.threads, at_once)

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "_take_pass", vmapped)
        return Stack(configs, torch.device("cpu"))


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_each_run_is_its_single_run(tiny_config, monkeypatch, in_float64, changes):
    """Seeds, fractions, operations, optimisers, rates differ; two models at once, and one is left over."""
    from train.stack import Stack

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
    from train.passes.vmapped import VmappedPass
    from train.stack import Stack

    def vmapped(self):
        return VmappedPass(self.model, self.configs, self.tasks, self.weights, self.threads)

    monkeypatch.setattr(Stack, "_take_pass", vmapped)

    left, whole = (Stack(configs, torch.device("cpu")) for _ in range(2))
    for step in range(20):
        if step == 10:
            left.keep([0, 2])
        losses, expected = left.update(), whole.update()
    torch.testing.assert_close(losses, expected[[0, 2]], rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("changes", [*CASES.values(), {"n_layers": 3, "norm": "pre", "act_fn": "gelu"}], ids=str)
def test_the_host_reads_nothing(tiny_config, monkeypatch, changes):
    """On tensors that have shapes but no values, any reading fails, and so does mixing in one that lies elsewhere."""
    from train.stack import Stack

    for module in ("streams", "dropout"):  # there are no generators there
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
    """What is recorded runs at each replay."""

    recording: "FakeGraph | None" = None
    function = staticmethod(lambda: None)

    def replay(self):
        self.function()


def test_a_pass_is_recorded_once(monkeypatch):
    from train.passes.vmapped import WARM_UP, Replay

    calls, recorded = [], []
    stream = types.SimpleNamespace(wait_stream=lambda other: None)

    @contextlib.contextmanager
    def record(graph):
        recorded.append(graph)
        yield
        graph.function = lambda: calls.append("replayed")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    replay = Replay(lambda: calls.append("called"), torch.device("cuda"))
    for _ in range(3):
        replay()
    assert calls == ["called"] * (WARM_UP + 1) + ["replayed"] * 3
    assert len(recorded) == 1
    plain = Replay(lambda: calls.append("plain"), torch.device("cpu"))  # control: no graph elsewhere
    plain()
    assert calls[-1] == "plain" and len(recorded) == 1


def test_models_at_once_by_memory(tiny_config, monkeypatch):
    """A pass that takes 10 MB where 100 MB are free, 60 of them to be used: 6 at once, so 5 in 1 chunk; 12 in 2."""
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


@pytest.mark.gpu
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_on_a_gpu(tiny_config, in_float64, changes):
    from train.stack import Stack

    configs = variants(tiny_config, changes)
    ours, theirs = Stack(configs, torch.device("cuda")), Stack(configs, torch.device("cpu"))
    again = Stack(configs, torch.device("cuda"))
    for _ in range(STEPS):
        losses, expected, repeated = ours.update(), theirs.update(), again.update()
    torch.testing.assert_close(losses.cpu(), expected, rtol=TOLERANCE, atol=0)
    assert torch.equal(losses, repeated)
