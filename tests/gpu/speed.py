"""Model-steps per second of K runs side by side, with their floors and their memory.

The floors are measured here: all products of a step, K at a time, a kind at a time; and the bytes that these products
and the optimiser must move, at the rate of a large copy. The share is of the slower one.
"""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from gpu.bench import Bench, setting
from gpu.passes import accelerators_pass, at_once, estimate, plain_pass, refused

PRESETS = ("quick", "nanda")
ADAM_PASSES = 7
"""Reads of weights, gradient and two moments, writes of all but the gradient."""
STEP_S, PRODUCT_S = 0.15, 0.02
"""Seconds of one timing."""
ROUNDS = 5


def table(bench: Bench) -> None:
    """Measure K = 1, 2, 4 ... 1,024 of each preset, smaller K first, as far as time and memory allow."""
    bench.found |= {"rows": [], "bytes_per_s": copy_rate(bench)}
    largest = 4 if bench.is_small else 1024
    for i, preset in enumerate(PRESETS):
        until = bench.left_s * (1 - 1 / (len(PRESETS) - i))  # seconds that later presets are left
        k, took = 1, 0.0
        while k <= largest:
            if bench.left_s - until < 2.2 * took:
                bench.note(f"{preset}: K = {k:,} was not tried: no time was left (K = {k // 2:,} took {took:.0f} s)")
                break
            started = time.perf_counter()
            reason = _row(bench, preset, k)
            took = time.perf_counter() - started
            if reason is not None:
                bench.note(f"{preset}: K = {k:,} did not run: {reason}")
                break
            k *= 2
    _check_memory(bench)


def plain(bench: Bench) -> None:
    """Measure the speed and losses of the hooked model itself under autograd."""
    import torch
    from gpu.agreement import TOLERANCE, first_losses

    from train.config.presets import find_preset

    config = setting(find_preset("quick").config, bench)
    with plain_pass():
        found = first_losses(config, bench.device, 10)
        row = measured(bench, [config])
    expected = first_losses(config, torch.device("cpu"), 10)
    worst = max(abs(a / b - 1) for a, b in zip(found, expected, strict=True))
    bench.found["rows"] = [{"preset": "quick", **row}]
    bench.check("plain pass: losses of 10 steps", worst <= TOLERANCE, f"{worst:.1e} relative to the CPU's own pass")


def _row(bench: Bench, preset: str, k: int) -> str | None:
    """Measure a row of the table; returns None, or the reason that it could not be measured."""
    import torch

    from train.config.presets import find_preset
    from train.engine.loop import one_thread_each

    base = find_preset(preset).config
    configs = [setting(base, bench, seed=bench.seed + i, split="stream") for i in range(k)]
    reason = refused(configs, bench.device)
    if reason is not None:
        return reason
    try:
        with accelerators_pass(bench.device):
            row = measured(bench, configs)
        with one_thread_each():
            row |= _floors(bench, configs[0], k, row["n_weights"])
    except torch.OutOfMemoryError as error:
        return f"the memory ends: {' '.join(str(error).split())[:200]}"
    finally:
        _forget(bench)
    row["share_of_floor"] = max(row["products_ms"], row["bytes_ms"]) / row["ms"]
    bench.found["rows"].append({"preset": preset, "k": k, **row})
    bench.save()
    return None


def measured(bench: Bench, configs: list[Any]) -> dict[str, Any]:
    """Time and memory of a step of a stack."""
    import torch

    from train.engine.loop import one_thread_each
    from train.engine.stack import Stack

    is_cuda = bench.device.type == "cuda"
    _forget(bench)
    before = torch.cuda.memory_allocated(bench.device) if is_cuda else 0
    with one_thread_each() as threads:
        stack = Stack(configs, bench.device, threads)
        loss = stack.update()
        step = seconds(bench, stack.update, STEP_S)
    assert bool(loss.isfinite().all())
    row = {
        "model_steps_per_s": len(configs) / step,
        "ms": 1e3 * step,
        "at_once": at_once(stack),
        "n_weights": stack.weights.values.shape[1],
        "estimate_bytes": len(configs) * estimate(configs[0]),
    }
    if is_cuda:
        row |= {
            "standing_bytes": torch.cuda.memory_allocated(bench.device) - before,
            "peak_bytes": torch.cuda.max_memory_allocated(bench.device) - before,
            "reserved_bytes": torch.cuda.max_memory_reserved(bench.device),
        }
    return row


def _floors(bench: Bench, config: Any, k: int, n_weights: int) -> dict[str, float]:
    import torch
    from benchmarks.products import flops, of_step

    def product_seconds(m: int, inner: int, n: int) -> float:
        """Seconds of [m, inner] @ [inner, n] and of the two products of its backward pass."""
        a, b, c = (torch.randn(k, *shape, device=bench.device) for shape in ((m, inner), (inner, n), (m, n)))
        products: list[Callable[[], Any]] = [lambda: a @ b, lambda: c @ b.mT, lambda: a.mT @ c]
        return sum(seconds(bench, product, PRODUCT_S) for product in products)

    shapes = of_step(config)
    total = sum(product_seconds(*shape) for shape in shapes)
    touched = sum(m * inner + inner * n + m * n for m, inner, n in shapes)
    moved = 4 * k * (3 * touched + ADAM_PASSES * n_weights) / bench.found["bytes_per_s"]
    return {"products_ms": 1e3 * total, "products_flops": k * flops(shapes) / total, "bytes_ms": 1e3 * moved}


def copy_rate(bench: Bench) -> float:
    """Bytes a second of a large copy, read and written."""
    import torch

    source = torch.empty(2**28 if bench.device.type == "cuda" else 2**22, device=bench.device)
    target = torch.empty_like(source)
    return 2 * source.numel() * source.element_size() / seconds(bench, lambda: target.copy_(source), STEP_S)


def seconds(bench: Bench, run: Callable[[], object], each: float) -> float:
    """Seconds of one call: the median of several timings of ``each`` seconds, each ended by a device sync."""
    import torch

    def several(count: int) -> float:
        if bench.device.type == "cuda":
            torch.cuda.synchronize(bench.device)
        started = time.perf_counter()
        for _ in range(count):
            run()
        if bench.device.type == "cuda":
            torch.cuda.synchronize(bench.device)
        return (time.perf_counter() - started) / count

    several(2)
    each, rounds = (each / 10, 2) if bench.is_small else (each, ROUNDS)
    count = max(1, int(each / several(2)))
    return statistics.median(several(count) for _ in range(rounds))


def _check_memory(bench: Bench) -> None:
    """Check that a further run takes no more memory than estimated, and that every K within the estimate ran."""
    rows = [row for row in bench.found["rows"] if "standing_bytes" in row]
    if not rows:
        bench.note("memory was not compared with its estimate: a CPU does not say what a stack takes")
    for few, many in zip(rows, rows[1:], strict=False):
        if few["preset"] != many["preset"] or many["k"] < 16:
            continue
        more = (many["standing_bytes"] - few["standing_bytes"]) / (many["k"] - few["k"])
        each = many["estimate_bytes"] / many["k"]
        name = f"{many['preset']}, K = {few['k']} to {many['k']}: bytes of a further run"
        bench.check(name, more <= each, f"{more / 1e6:.2f} MB; estimated {each / 1e6:.2f} MB")
    refusals = [note for note in bench.found["notes"] if "the memory ends" in note]
    bench.check("every K that the estimate lets through ran", not refusals, "; ".join(refusals) or "yes")


def _forget(bench: Bench) -> None:
    """Free cached device memory, so that a row does not depend on the rows before."""
    import torch

    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        with contextlib.suppress(RuntimeError):  # nothing was allocated yet
            torch.cuda.reset_peak_memory_stats(bench.device)
