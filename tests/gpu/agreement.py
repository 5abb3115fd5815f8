"""Runs on an accelerator beside those of a CPU: their losses step by step, and where ``quick`` ends."""

import contextlib
import time
from typing import Any

from gpu.bench import Bench, setting
from gpu.passes import accelerators_pass, autograd_pass, verdict_of

STEPS = 100
TOLERANCE = 1e-3
"""Of each loss, relative."""
ROUNDED = 2**-6
"""The same where products are rounded, to bfloat16 (8 bits) or TF32 (11 bits)."""

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


def first_losses(config: Any, device: Any, steps: int) -> list[float]:
    """Losses in nats of a run's first updates."""
    import torch

    from train.engine import one_thread_each
    from train.stack import Stack

    with one_thread_each() as threads:
        stack = Stack([config], device, threads)
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
    import torch

    from train.presets import find_preset
    from train.settings import override

    config = setting(find_preset(preset).config, bench, **({} if bench.is_small else fields))
    if bench.is_small:
        config = override(
            config, {k: v for k, v in fields.items() if k not in ("p", "d_model", "n_heads", "batch_size")}
        )
        config = override(config, {"batch_size": 20} if "batch_size" in fields else {})
    if config.optim.precision == "tf32" and bench.device.type != "cuda":
        bench.note("tf32 was not tried: it needs a CUDA device")
        return
    steps = STEPS // 10 if bench.is_small else STEPS
    reference = bench.device if name in DRAWN else torch.device("cpu")
    exact = override(config, {"precision": "float32"}) if config.optim.precision == "tf32" else config
    with autograd_pass() if name in DRAWN else contextlib.nullcontext():
        expected = first_losses(exact, reference, steps)
    with accelerators_pass(bench.device):
        found = first_losses(config, bench.device, steps)
    worst, at = max((abs(a / b - 1), step) for step, (a, b) in enumerate(zip(found, expected, strict=True)))
    allowed = TOLERANCE if config.optim.precision == "float32" else ROUNDED
    against = "one model at a time on the same device" if name in DRAWN else "the CPU"
    bench.found["rows"].append(
        {"run": name, "against": against, "steps": steps, "worst": worst, "at": at, "allowed": allowed}
        | {"last_loss": found[-1], "last_loss_there": expected[-1]}
    )
    bench.check(f"{name}: losses of {steps} steps", worst <= allowed, f"{worst:.1e} relative at step {at}")


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
    from gpu.trainee import train_into

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
