"""Comparison of runs on an accelerator with runs on a CPU: losses step by step, and the end of ``quick``."""

import contextlib
import math
import time
from typing import Any

from gpu.bench import Bench, setting
from gpu.passes import accelerators_pass, autograd_pass, in_float64, verdict_of
from gpu.trainee import train_into

STEPS = 100
TOLERANCE = 1e-3
"""Relative tolerance of each loss between runs in float64."""
ROOM = 100
"""A run as it is trained may part from the CPU's in float64 by so many times what the CPU's own does, up to that step.

Rounding grows from step to step: two right passes of a CPU part by 1e-3 to 0.5 in 100 steps of some of these runs, one
of them from float64 by up to 20 times as much as the other. In the first steps the bound is ``TOLERANCE``.
"""

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
"""Cases whose random draws depend on the kind of device; they are compared on one device, by two passes."""


def first_losses(config: Any, device: Any, steps: int) -> list[float]:
    """Losses (nats) of a run's first updates."""
    import torch

    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    with one_thread_each() as threads:
        stack = Stack([config], device, threads)
        return torch.stack([stack.update()[0] for _ in range(steps)]).tolist()


def singles(bench: Bench) -> None:
    """Compare the losses of the first updates of one run of each kind."""
    bench.found["rows"] = []
    for name, (preset, fields) in CASES.items():
        if bench.left_s <= 0:
            bench.check(name, False, "not run: no time was left")
            continue
        bench.attempt(name, lambda name=name, preset=preset, fields=fields: _single(bench, name, preset, fields))


def _single(bench: Bench, name: str, preset: str, fields: dict[str, Any]) -> None:
    import torch

    from train.config.presets import find_preset
    from train.config.settings import override

    config = setting(find_preset(preset).config, bench, **fields)
    precision = config.optim.precision
    if precision == "tf32" and bench.device.type != "cuda":
        bench.note("tf32 was not tried: it needs a CUDA device")
        return
    steps = STEPS // 10 if bench.is_small else STEPS
    row = {"run": name, "against": "one model at a time, same device" if name in DRAWN else "the CPU", "steps": steps}
    exact, reference = (
        override(config, {"precision": "float32"}),
        bench.device if name in DRAWN else torch.device("cpu"),
    )
    with in_float64():
        with accelerators_pass(bench.device):
            found = first_losses(exact, bench.device, steps)
        with autograd_pass():
            expected = first_losses(exact, reference, steps)
    row["float64"] = max(_apart(found, expected))
    bench.check(f"{name}, float64", row["float64"] <= TOLERANCE, f"{row['float64']:.1e} relative in {steps} steps")
    if name not in DRAWN:
        row |= _as_trained(bench, name, config, expected)
    bench.found["rows"].append(row)
    bench.save()


def _as_trained(bench: Bench, name: str, config: Any, exact: list[float]) -> dict[str, Any]:
    """Losses of a run in its own precision; on a CPU bfloat16, which rounds more, replaces TF32."""
    import torch

    from train.config.settings import override

    precision, steps = config.optim.precision, len(exact)
    with accelerators_pass(bench.device):
        found = first_losses(config, bench.device, steps)
    there = override(config, {"precision": "bfloat16"}) if precision == "tf32" else config
    cpu = first_losses(there, torch.device("cpu"), steps)
    apart, own = _apart(found, exact), _apart(cpu, exact)
    allowed = [max(TOLERANCE, ROOM * max(own[: step + 1])) for step in range(steps)]
    at = max(range(steps), key=lambda step: apart[step] / allowed[step])
    saw = f"{apart[at]:.1e} from float64 at step {at}, where {allowed[at]:.1e} are allowed; the CPU's {own[at]:.1e}"
    bench.check(f"{name}, {precision}", apart[at] <= allowed[at], saw)
    return {"worst": apart[at], "at": at, "allowed": allowed[at], "own": own[at], "direct": max(_apart(found, cpu))}


def _apart(found: list[float], expected: list[float]) -> list[float]:
    """Relative difference of each loss; infinite where a loss is NaN."""
    differences = (abs(a / b - 1) for a, b in zip(found, expected, strict=True))
    return [difference if math.isfinite(difference) else math.inf for difference in differences]


def to_the_end(bench: Bench) -> None:
    """Train ``quick`` to its last step on both devices through the engine, and compare measures of a report."""
    import torch

    from train.config.presets import find_preset

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
    from interp.parts.keyfreqs import key_freqs_of
    from interp.parts.memo import NotApplicable

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
