"""Runs on an accelerator beside those of a CPU: their losses step by step, and where ``quick`` ends."""

import contextlib
import math
import time
from typing import Any

from gpu.bench import Bench, setting
from gpu.passes import accelerators_pass, autograd_pass, in_float64, verdict_of
from gpu.trainee import train_into

STEPS = 100
TOLERANCE = 1e-3
"""Of each loss, relative: in float64; and in float32 as long as rounding alone does not make runs part by more."""
ROOM = 10
"""Where it does: times what the CPU's own run parts from itself if its initial weights move by their last bit."""
LAST_BIT = 2.0**-23

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "nanda": ("nanda", {}),
    "quick": ("quick", {}),
    "fast": ("fast", {}),
    "power, small": ("power", {"p": 23, "d_model": 32, "n_heads": 2, "batch_size": 64}),
    "zhong, attention rate 0.5": ("zhong", {"attn_rate": 0.5}),
    "group, other start": ("quick", {"op": "compose", "group": "D6", "init": "transformerlens", "outputs": "answers"}),
    "three layers, pre-norm, gelu": (
        "quick",
        {"n_layers": 3, "norm": "pre", "act_fn": "gelu", "biases": "all", "d_model": 32, "p": 23},
    ),
    "mlp": ("quick", {"arch": "mlp", "layout": "a b"}),
    "stablemax": ("quick", {"loss": "stablemax"}),
    "loss in float32": ("quick", {"loss_precision": "float32"}),
    "muon": ("quick", {"optimizer": "muon"}),
    "sgd": ("quick", {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1, "weight_decay": 1e-4}),
    "Grokfast": ("quick", {"grokfast_alpha": 0.98}),
    "dropout": ("quick", {"dropout": 0.1, "batch_size": "power"}),
    "noise": ("quick", {"weight_noise": 0.01, "update_noise": 0.1}),
    "bfloat16": ("quick", {"precision": "bfloat16"}),
    "tf32": ("quick", {"precision": "tf32"}),
}
DRAWN = {"dropout", "noise"}
"""What these draw at random differs between kinds of device, so that they are compared on one, by two passes."""


def first_losses(config: Any, device: Any, steps: int, moved: float = 0.0) -> list[float]:
    """Losses in nats of a run's first updates; with ``moved``, from weights w (1 + moved N(0, 1))."""
    import torch

    from train.engine import one_thread_each
    from train.stack import Stack

    with one_thread_each() as threads:
        stack = Stack([config], device, threads)
        if moved:
            stack.weights.values.mul_(1 + moved * torch.randn_like(stack.weights.values))
        return torch.stack([stack.update()[0] for _ in range(steps)]).tolist()


def singles(bench: Bench) -> None:
    """Losses of the first updates of one run of each kind."""
    bench.found["rows"] = []
    for name, (preset, fields) in CASES.items():
        if bench.left_s <= 0:
            bench.check(name, False, "not run: no time was left")
            continue
        bench.attempt(name, lambda name=name, preset=preset, fields=fields: _single(bench, name, preset, fields))


def _single(bench: Bench, name: str, preset: str, fields: dict[str, Any]) -> None:
    from train.presets import find_preset

    config = setting(find_preset(preset).config, bench, **fields)
    precision = config.optim.precision
    if precision == "tf32" and bench.device.type != "cuda":
        bench.note("tf32 was not tried: it needs a CUDA device")
        return
    steps = STEPS // 10 if bench.is_small else STEPS
    row = {"run": name, "against": "one model at a time, same device" if name in DRAWN else "the CPU", "steps": steps}
    if precision == "float32":  # autocast and tf32 leave float64 alone
        with in_float64():
            row["float64"] = max(_apart(*_pair(bench, name, config, steps)))
    found, expected = _pair(bench, name, config, steps)
    apart, own = _apart(found, expected), _own(config, expected if name not in DRAWN else None, steps)
    allowed = [max(TOLERANCE, ROOM * max(own[: step + 1])) for step in range(steps)]
    at = max(range(steps), key=lambda step: apart[step] / allowed[step])
    row |= {"worst": apart[at], "at": at, "allowed": allowed[at], "last_loss": found[-1], "there": expected[-1]}
    bench.found["rows"].append(row)
    if "float64" in row:
        bench.check(f"{name}, float64", row["float64"] <= TOLERANCE, f"{row['float64']:.1e} relative in {steps} steps")
    saw = f"{apart[at]:.1e} relative at step {at}, of {allowed[at]:.1e}"
    bench.check(f"{name}, {precision}", apart[at] <= allowed[at], saw)


def _pair(bench: Bench, name: str, config: Any, steps: int) -> tuple[list[float], list[float]]:
    """Losses by the accelerator's pass, and those they should be."""
    import torch

    with accelerators_pass(bench.device):
        found = first_losses(config, bench.device, steps)
    if name in DRAWN:
        with autograd_pass():
            return found, first_losses(config, bench.device, steps)
    return found, first_losses(_on_a_cpu(config), torch.device("cpu"), steps)


def _own(config: Any, losses: list[float] | None, steps: int) -> list[float]:
    """How far a run on the CPU parts from itself by rounding: its weights moved by their last bit, or rounded to TF32.

    What bfloat16 does stands for TF32, whose products a CPU does not have.
    """
    import torch

    from train.settings import override

    cpu = torch.device("cpu")
    losses = first_losses(_on_a_cpu(config), cpu, steps) if losses is None else losses
    if config.optim.precision == "tf32":
        return _apart(first_losses(override(config, {"precision": "bfloat16"}), cpu, steps), losses)
    return _apart(first_losses(config, cpu, steps, moved=LAST_BIT), losses)


def _on_a_cpu(config: Any) -> Any:
    from train.settings import override

    return override(config, {"precision": "float32"}) if config.optim.precision == "tf32" else config


def _apart(found: list[float], expected: list[float]) -> list[float]:
    """Relative difference of each loss; infinite where one is no number."""
    differences = (abs(a / b - 1) for a, b in zip(found, expected, strict=True))
    return [difference if math.isfinite(difference) else math.inf for difference in differences]


def to_the_end(bench: Bench) -> None:
    """``quick`` trained to its last step on both, through the engine, and read as a report would."""
    import torch

    from train.presets import find_preset

    steps = {"steps": 200} if bench.is_small else {}
    config = setting(find_preset("quick").config, bench, **steps)
    ends = {}
    for name, device in (("accelerator", bench.device), ("cpu", torch.device("cpu"))):
        with accelerators_pass(device) if name == "accelerator" else contextlib.nullcontext():
            ends[name] = bench.found[name] = _end(bench, name, config, device)
        bench.save()
    ours, theirs = ends["accelerator"], ends["cpu"]
    for what in ("n_key_freqs", "verdict"):
        bench.check(f"quick at its end: {what}", ours[what] == theirs[what], f"{ours[what]}; on the CPU {theirs[what]}")
    apart = abs(ours["test_acc"] - theirs["test_acc"])
    bench.check(
        "quick at its end: test accuracy", apart <= 0.01, f"{ours['test_acc']}; on the CPU {theirs['test_acc']}"
    )
    if ours["verdict"] == "no verdict function":
        bench.note("verdicts were not compared: this version has no function for them")


def _end(bench: Bench, name: str, config: Any, device: Any) -> dict[str, Any]:

    from interp import open_run
    from interp.keyfreqs import key_freqs_of
    from interp.parts import NotApplicable

    started = time.perf_counter()
    store = train_into(config, bench.folder / name, device)
    seconds = time.perf_counter() - started
    run = open_run(store.path)
    try:
        keys = sorted(key_freqs_of(run).ks)
    except NotApplicable:
        keys = []
    row = [row for row in store.read_log() if "test_acc" in row][-1]
    return {
        "seconds": round(seconds, 2),
        "step": row["step"],
        "train_loss": row["train_loss"],
        "test_loss": row["test_loss"],
        "test_acc": row["test_acc"],
        "key_freqs": keys,
        "n_key_freqs": len(keys),
        "verdict": verdict_of(run),
    }
