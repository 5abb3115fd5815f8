"""The accelerator's pass: each test runs on the CPU, and (marked gpu) on a GPU, where CUDA graphs are recorded."""

import warnings
from typing import Any

import pytest
import torch
from gpu.passes import accelerators_pass, autograd_pass

from tests.train.engine.test_shapes import variants

pytestmark = pytest.mark.usefixtures("one_thread", "quick_disk")
TOLERANCE = 1e-8
"""Relative, of losses in nats after few steps of float64 in another order of sums."""

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "pizza": {"layout": "a b", "attention": "bidirectional", "attn_rate": 0.5, "init": "zhong"},
    "causal, rate": {"n_layers": 2, "attn_rate": 0.3},
    "three layers, pre-norm, gelu": {"n_layers": 3, "norm": "pre", "act_fn": "gelu", "biases": "all"},
    "post-norm, sinusoidal, silu": {"n_layers": 2, "norm": "post", "positions": "sinusoidal", "act_fn": "silu"},
    "square, head width, operator": {"act_fn": "square", "d_head": 5, "layout": "a op b =", "biases": "none"},
    "answers, scaled": {"outputs": "answers", "output_scale": 3.0, "init_scale": 0.5, "act_fn": "tanh"},
    "own tokens, outliers": {"shared_vocabulary": False, "outliers": 3, "layout": "eos a op b ="},
    "stablemax": {"loss": "stablemax"},
    "loss in float32": {"loss_precision": "float32"},
    "mlp": {"arch": "mlp", "layout": "a b", "n_layers": 2},
    "group": {"op": "compose", "group": "S3"},
    "undefined rows, batches": {"op": "div", "batch_size": 20},
    "batches by epoch": {"batch_size": "power"},
    "sgd": {"optimizer": "sgd", "momentum": 0.5},
    "muon": {"optimizer": "muon"},
    "adam, towards the start": {"optimizer": "adam", "decay_towards": "init"},
    "adamw, towards the start": {"decay_towards": "init", "decay_steps": 5, "warmup_steps": 0},
    "orthogonal, constant norm": {"orthogonal_gradient": True, "norm_clamp": 1.2},
    "Grokfast": {"grokfast_alpha": 0.9, "grokfast_from": 2},
    "Grokfast-MA": {"grokfast_window": 3},
    "noise": {"weight_noise": 0.01, "update_noise": 0.1},
    "dropout": {"dropout": 0.2, "n_layers": 2},
}
DRAWN = {"noise", "dropout"}
"""Cases with random draws, which differ between kinds of device, so that they are compared on one device."""
STEPS = 6
NOT_EXACT = {"loss in float32": 1e-5}
"""Relative tolerance where it is not float64's: 100 times the rounding of a float32."""


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    return torch.device(request.param)


@pytest.fixture
def in_float64(monkeypatch):
    """Double-precision stacks: in float32 some runs drift apart by percents from rounding alone."""
    from train.model import build_model

    monkeypatch.setattr("train.engine.stack.build_model", lambda config, device: build_model(config, device).double())


def ours(configs, device) -> Any:
    """A stack that uses the accelerator's pass, on the CPU too."""
    from train.engine.stack import Stack

    with accelerators_pass(device):
        return Stack(configs, device)


def theirs(configs, device) -> Any:
    """A stack that runs one model at a time, by autograd."""
    from train.engine.stack import Stack

    with autograd_pass():
        return Stack(configs, device)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_the_same_run(tiny_config, in_float64, device, name):
    """Losses, gradients and evaluations with every option equal those of one model at a time on a CPU."""
    from train.config.settings import override

    config = override(tiny_config, OPTIONS[name])
    tolerance = NOT_EXACT.get(name, TOLERANCE)
    found, expected = ours([config], device), theirs([config], device if name in DRAWN else torch.device("cpu"))
    for _ in range(STEPS):
        loss, there = found.update(), expected.update()
        torch.testing.assert_close(loss.cpu(), there.cpu(), rtol=tolerance, atol=0)
    scale = float(expected.weights.grads.abs().max())
    grads = found.weights.grads.cpu(), expected.weights.grads.cpu()
    torch.testing.assert_close(*grads, rtol=0, atol=10 * tolerance * scale)
    assert scale > 0
    scores, there = found.evaluate([0])[0], expected.evaluate([0])[0]
    assert scores == pytest.approx(there, rel=100 * tolerance)
    other = ours([override(config, {"seed": 1})], device).update()  # control: another run has another loss
    assert abs(float(other[0]) / float(theirs([config], device).update()[0]) - 1) > 1e-4


@pytest.mark.parametrize("changes", [{}, {"batch_size": 20}, {"dropout": 0.2, "n_layers": 2}], ids=str)
def test_a_stack_is_its_single_runs(tiny_config, in_float64, device, changes):
    configs = variants(tiny_config, changes)
    together, apart = ours(configs, device), [ours([config], device) for config in configs]
    for _ in range(STEPS):
        losses, single = together.update(), torch.cat([stack.update() for stack in apart])
        torch.testing.assert_close(losses, single, rtol=TOLERANCE, atol=0)
    assert (single[1:] / single[0] - 1).abs().min() > 1e-4  # control: they are different runs


def test_runs_leave_and_the_pass_is_recorded_anew(tiny_config, in_float64, device):
    configs = variants(tiny_config, {})[:3]
    apart = [ours([config], device) for config in configs]
    with accelerators_pass(device):
        together = ours(configs, device)
        together.update()
        before = together.taken._replay._graph
        together.keep([0, 2])
    [stack.update() for stack in apart]
    for _ in range(STEPS):
        losses = together.update()
        single = torch.cat([apart[k].update() for k in (0, 2)])
        torch.testing.assert_close(losses, single, rtol=TOLERANCE, atol=0)
    after = together.taken._replay._graph
    assert (before is not after) if device.type == "cuda" else (before is after is None)


def test_masks_are_drawn_anew_at_each_step(tiny_config, in_float64, device):
    """Masks are redrawn at each step, by a graph too: with fixed weights the loss changes by its masks alone."""
    from train.config.settings import override

    config = override(tiny_config, {"dropout": 0.3, "lr": 0.0, "warmup_steps": 0})
    stack, other = ours([config], device), theirs([config], device)
    losses = [float(stack.update()[0]) for _ in range(STEPS)]
    assert losses == pytest.approx([float(other.update()[0]) for _ in range(STEPS)], rel=TOLERANCE)
    assert len(set(losses)) == STEPS


@pytest.mark.parametrize("most", [1024, 1], ids=["products", "sorted sums"])
@pytest.mark.parametrize("changes", [{}, {"n_layers": 2, "norm": "post", "batch_size": 20}], ids=str)
def test_a_run_repeats_bit_for_bit(tiny_config, monkeypatch, device, changes, most):
    """Float32 runs repeat bit for bit, replayed and called, with both ways of summing gradients of gathers."""
    from train.passes import vmapped

    monkeypatch.setattr(vmapped, "MOST_ENTRIES", most)
    configs = variants(tiny_config, changes)[:3]
    stacks = [ours(configs, device), ours(configs, device)]
    for _ in range(STEPS):
        losses, again = (stack.update() for stack in stacks)
        assert torch.equal(losses, again)
    assert torch.equal(stacks[0].weights.values, stacks[1].weights.values)
    called = ours(configs, device)
    monkeypatch.setattr(vmapped.Replay, "__call__", lambda self, function: function())
    for _ in range(STEPS):
        last = called.update()
    torch.testing.assert_close(last, losses, rtol=1e-5, atol=0)  # not to the bit: cuBLAS may choose another kernel


@pytest.mark.parametrize("changes", [{}, {"batch_size": 20, "dropout": 0.2, "update_noise": 0.1}], ids=str)
def test_stopped_and_resumed(tmp_path, tiny_config, device, changes):
    """A run resumed on the device where it stopped has the same snapshots, bit for bit."""
    from train.config.settings import override
    from train.engine.loop import train
    from train.errors import Stopped
    from train.storage.store import RunStore

    config = override(tiny_config, {"steps": 60, **changes})
    stores = [
        RunStore.create(tmp_path / name, config) for name in ("whole", "parts") if (tmp_path / name).mkdir() is None
    ]
    calls = iter(range(10**6))
    with accelerators_pass(device):
        train(config, stores[0], device)
        with pytest.raises(Stopped):
            train(config, stores[1], device, stop_signal=lambda: 2 if next(calls) == 37 else None)
        train(config, stores[1], device)
    assert stores[0].manifest == stores[1].manifest
    assert max(stores[0].steps) == 60


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_products_are_rounded(tiny_config, device, precision):
    """Gradients err as a dozen products with factors of 8 or 11 bits do; evaluations are float32."""
    from train.config.settings import override

    if precision == "tf32" and device.type == "cpu":
        pytest.skip("tf32 needs a CUDA device")
    configs = [override(tiny_config, {"precision": p, "lr": 0.0, "biases": "all"}) for p in ("float32", precision)]
    stacks = [ours([config], device) for config in configs]
    losses = [float(stack.update()[0]) for stack in stacks]
    assert losses[1] == pytest.approx(losses[0], rel=2**-7)
    exact, rounded = (stack.weights.grads for stack in stacks)
    assert 2**-20 < (rounded - exact).norm() / exact.norm() < 2**-4
    assert stacks[0].evaluate([0]) == stacks[1].evaluate([0])


def test_a_device_that_is_not_there():
    from train.cli.arguments import find_device
    from train.errors import UsageError

    for name in ("cuda:99", "cuda:x", "gpu"):
        with pytest.raises(UsageError, match=name) as told:
            find_device(name)
        assert "\n" not in str(told.value)


def test_what_pytorch_keeps_unused_is_free(monkeypatch):
    """Free memory is the driver's 40 GB plus the 20 of PyTorch's 30 GB that are not in use."""
    from train.engine.memory import free_bytes

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (40 * 10**9, 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30 * 10**9)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10 * 10**9)
    assert free_bytes(torch.device("cuda")) == 60 * 10**9
    assert free_bytes() != 60 * 10**9  # control: the machine's


def test_memory_that_ends_is_one_line(capsys):
    from train.cli.command import run_command

    said = "CUDA out of memory. Tried to allocate 80.00 GiB. GPU 0 has a total capacity of 79.11 GiB"

    def body(error):
        raise error

    assert run_command(lambda: body(torch.OutOfMemoryError(said))) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the device is out of memory: CUDA out of memory: lower --batch-size")
    assert run_command(lambda: body(RuntimeError(said))) == 1  # control: another error is ours


# ---- on a GPU alone ------------------------------------------------------------------------------


@pytest.fixture
def waiting_is_an_error():
    """A switch that makes PyTorch raise where the host waits for the device, without PyTorch's warning about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        yield lambda: torch.cuda.set_sync_debug_mode("error")
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("name", OPTIONS)
def test_no_step_waits_for_the_device(tiny_config, waiting_is_an_error, name):
    from train.config.settings import override

    stack = ours([override(tiny_config, {**OPTIONS[name], "seed": seed}) for seed in range(2)], torch.device("cuda"))
    stack.update()
    waiting_is_an_error()
    for _ in range(STEPS):
        losses = stack.update()
    with pytest.raises(RuntimeError):  # control
        losses.tolist()


@pytest.mark.gpu
def test_models_at_once_by_what_is_free(tiny_config, in_float64, monkeypatch):
    """With little free memory the models run one at a time, with equal numbers; a deleted stack frees its memory."""
    from train.passes import vmapped

    gpu, configs = torch.device("cuda"), variants(tiny_config, {})
    whole = ours(configs, gpu)
    expected = whole.update()
    assert [chunk for chunk, _ in whole.taken._leaves] == [slice(0, 5)]
    with monkeypatch.context() as patch:
        patch.setattr(vmapped, "FREE_SHARE", 1e-12)
        stack = ours(configs, gpu)
        torch.testing.assert_close(stack.update(), expected, rtol=TOLERANCE, atol=0)
        assert len(stack.taken._leaves) == 5
    kept = torch.cuda.memory_allocated()
    del whole, expected
    assert torch.cuda.memory_allocated() < kept


@pytest.mark.gpu
def test_many_rows_are_evaluated_in_pieces(tiny_config, in_float64, monkeypatch):
    from train.passes import protocol

    stack = ours([tiny_config], torch.device("cuda"))
    whole = stack.evaluate([0])
    monkeypatch.setattr(protocol, "DEVICE_EVAL_ROWS", 7)
    assert stack.evaluate([0])[0] == pytest.approx(whole[0], rel=TOLERANCE)


@pytest.mark.gpu
def test_a_session_names_its_gpu():
    from train.storage.provenance import session_info

    found = {device: session_info(device, 1, [], 0, {"pass": "vmapped"})["gpu"] for device in ("cuda", "cpu")}
    assert found["cuda"].startswith(torch.cuda.get_device_name()) and found["cpu"] is None


@pytest.mark.gpu
def test_on_the_second_device(tiny_config, in_float64):
    """A stack on the second device is recorded there, where PyTorch would take the current device."""
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    first, second = (ours([tiny_config], torch.device(f"cuda:{i}")) for i in range(2))
    for _ in range(STEPS):
        losses, there = first.update(), second.update()
    torch.testing.assert_close(there.cpu(), losses.cpu(), rtol=TOLERANCE, atol=0)
