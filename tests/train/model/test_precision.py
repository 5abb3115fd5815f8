"""Products in bfloat16: rounded, close to float32, and used only where the documentation says so."""

import contextlib
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS: dict[str, dict[str, Any]] = {
    "tables": {},
    "layers": {"n_layers": 2, "norm": "post", "attention": "bidirectional"},
    "layers with a last norm": {"n_layers": 2, "norm": "pre"},
    "gelu": {"act_fn": "gelu"},
    "mlp": {"arch": "mlp", "layout": "a b"},
}


@pytest.fixture(params=MODELS.values(), ids=list(MODELS))
def config(request, tiny_config):
    from train.config.settings import override

    return override(tiny_config, {"biases": "all", **request.param})


def stack_of(config, precision, vmapped=False):
    from train.config.settings import override
    from train.engine.stack import Stack
    from train.passes.vmapped import VmappedPass

    stack = Stack([override(config, {"precision": precision, "lr": 0.0})], torch.device("cpu"))
    if vmapped:
        stack.taken = VmappedPass(stack.ensemble)
        stack.full = [stack.batches[0].rows]
    return stack


def test_the_logits_product_is_not_rounded_on_its_way_back(config):
    """Gradients in W_U sum to 0 over the logits, as softmax less label does; rounding would break the sum."""
    stack = stack_of(config, "bfloat16")
    stack.update()
    grad = stack.weights.split(stack.weights.grads[0])["unembed.W_U"].double()
    largest = float(grad.abs().max())
    assert float(grad.sum(dim=1).abs().max()) < 1e-5 * largest
    assert float(grad.bfloat16().double().sum(dim=1).abs().max()) > 1e-4 * largest  # control


@pytest.mark.parametrize("vmapped", [False, True], ids=["one by one", "vmapped"])
def test_gradients_are_rounded_and_close(config, vmapped):
    """Gradients differ from float32's by the rounding of a dozen products whose factors err by 2^-9."""
    plain, rounded = (stack_of(config, precision, vmapped) for precision in ("float32", "bfloat16"))
    losses = [float(stack.update()[0]) for stack in (plain, rounded)]
    assert losses[1] == pytest.approx(losses[0], rel=2**-7)
    difference = (rounded.weights.grads - plain.weights.grads).norm() / plain.weights.grads.norm()
    assert 2**-14 < difference < 2**-4


def test_evaluations_are_float32(config):
    """Evaluations under bfloat16 equal those of the same pass in float32."""
    from train.passes.functional import FunctionalPass

    plain, rounded = (stack_of(config, precision) for precision in ("float32", "bfloat16"))
    assert isinstance(rounded.taken, FunctionalPass)
    plain.taken = FunctionalPass(plain.ensemble)
    assert plain.evaluate([0]) == rounded.evaluate([0])


def test_logits_are_not_rounded(tiny_config):
    """The last product rounds its factors at most, not the logits, which would have 8 bits in bfloat16."""
    from train.model.precision import products
    from train.passes.entries import make_plan
    from train.passes.frugal import answer_logits

    stack = stack_of(tiny_config, "bfloat16")
    own = {name: tensor.detach() for name, tensor in stack.weights.own[0].items()}
    plan = make_plan(stack.tasks[0].tokens, stack.tasks[0].answer_positions, 1)
    with products("bfloat16", torch.device("cpu")):
        logits = answer_logits(own, stack.model.cfg, plan)
        rounded = own["embed.W_E"].T @ own["embed.W_E"]
    assert logits.dtype == torch.float32
    assert (logits.bfloat16().float() != logits).float().mean() > 0.9
    assert rounded.dtype == torch.bfloat16  # control: products within are


def test_tf32_is_refused_without_a_gpu(tmp_path, capsys):
    from train.run import main

    status = main(["--preset", "quick", "--precision", "tf32", "--device", "cpu", "--out", str(tmp_path / "runs")])
    said = capsys.readouterr()
    assert status == 2
    assert said.err == "error: precision = tf32 needs a CUDA device, not cpu; allowed there are float32, bfloat16\n"
    assert not (tmp_path / "runs").exists()


@pytest.fixture(params=["ieee", "tf32"])
def before(request):
    """A float32 precision that the caller has set for the process."""
    matmul: Any = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("PyTorch before 2.9 has another name for the switch")
    own = matmul.fp32_precision
    matmul.fp32_precision = request.param
    yield request.param
    matmul.fp32_precision = own


def test_where_tf32_is_switched_on(monkeypatch, before):
    """TF32, a switch of the process, is on during a pass, off for the logits' product, and restored afterwards."""
    from train.model.precision import products, unrounded

    matmul: Any = torch.backends.cuda.matmul
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # it asks for a GPU
    gpu, found = torch.device("cuda"), []
    for precision in ("tf32", "bfloat16", "float32"):
        with products(precision, gpu):
            found.append(matmul.fp32_precision)
            with unrounded(gpu):
                found.append(matmul.fp32_precision)
            found.append(matmul.fp32_precision)
    assert found == ["tf32", "ieee", "tf32"] + ["ieee"] * 6
    with products("tf32", torch.device("cpu")), unrounded(torch.device("cpu")):  # control: not ours to set there
        assert matmul.fp32_precision == before
    assert matmul.fp32_precision == before
