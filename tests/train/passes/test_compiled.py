"""Compiled loops give equal numbers in every process, whether compiled there or loaded from the disk."""

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
STEP = """
import hashlib
import numpy as np
from train.passes import kernels
draw = np.random.default_rng(0)
def random(*shape):
    return draw.standard_normal(shape, dtype=np.float32)
n, J, H, T, Q, d_mlp, d_vocab = 31, 2, 3, 13, 1, 140, 11
index = draw.integers(T, size=(n, J), dtype=np.int32)
source = np.ascontiguousarray((index[:, :, None] + T * np.arange(H, dtype=np.int32)).reshape(n, J * H))
query, label = np.zeros(n, np.int32), draw.integers(d_vocab, size=n, dtype=np.int32)
X = -(-d_mlp // kernels.COLUMNS) + 1
mixed, base = random(X, H * T, kernels.COLUMNS), random(Q, d_mlp + d_vocab)
scores, W_out_U = random(H, Q, T), random(d_mlp, d_vocab)
pattern, weight, d_weight = (np.empty((n, J * H), np.float32) for _ in range(3))
post, d_post = np.empty((n, d_mlp), np.float32), np.empty((n, d_mlp), np.float32)
direct, logits = np.empty((n, d_vocab), np.float32), np.empty((n, d_vocab), np.float32)
shifted = np.empty(n, np.float32)
gradients = [np.empty_like(table) for table in (mixed, scores, base, W_out_U)]
kernels.forward(
    mixed, base, scores, W_out_U, index, source, query, 1.0, pattern, weight, post, direct, logits)
kernels.backward(
    mixed, W_out_U, index, source, query, label, 1.0, 1 / n, pattern, weight, post, logits,
    d_post, shifted, d_weight, *gradients)
print("loaded", sum(kernels.backward.stats.cache_hits.values()))
for found in (pattern, post, logits, *gradients):
    print(hashlib.sha256(found.tobytes()).hexdigest())
"""


def test_compiled_and_loaded_code_agree(tmp_path):
    """Processes agree bit for bit, because a run begun by one process is continued by another."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", STEP], env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    (compiled, *ours), (loaded, *theirs) = (text.splitlines() for text in said)
    assert (compiled, loaded) == ("loaded 0", "loaded 1")
    assert ours == theirs and len(set(ours)) == 7


def taken_in(module: ModuleType) -> dict[str, Any]:
    """Compiled functions that others of a module call, by name."""
    from numba.core.dispatcher import Dispatcher

    functions = {name: f for name, f in vars(module).items() if isinstance(f, Dispatcher)}
    called = {name for f in functions.values() for name in f.py_func.__code__.co_names}
    return {name: functions[name] for name in called & set(functions)}


def compiled_twice(module: ModuleType) -> set[str]:
    """Called functions of a module that are not inlined into their callers."""
    return {name for name, f in taken_in(module).items() if f.targetoptions.get("inline") != "always"}


def from_elsewhere(module: ModuleType) -> set[str]:
    """Called functions of other files, whose changes would not recompile the callers in this file's cache."""
    return {name for name, f in taken_in(module).items() if f.py_func.__module__ != module.__name__}


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "train").rglob("*.py")
    if "@njit" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_what_is_taken_in(name):
    module = importlib.import_module(name)
    assert compiled_twice(module) == set()
    assert from_elsewhere(module) == set()


def test_control_one_is_seen():
    from numba import njit

    names: dict[str, Any] = {}
    exec("def one():\n    return 1\ndef two():\n    return one()\ndef three():\n    return two()\n", names)
    found = {"one": njit(names["one"]), "two": njit(inline="always")(names["two"]), "three": njit(names["three"])}
    module = ModuleType("twice")
    vars(module).update(found)
    assert compiled_twice(module) == {"one"}
    assert from_elsewhere(module) == {"one", "two"}
    assert MODULES == [
        *("train.optim.adam", "train.passes.kernels", "train.passes.layers.blocks", "train.passes.layers.nodes")
    ]


def test_compiling_without_a_place_for_compiled_code(monkeypatch):
    from train.passes import compiling

    def refuse(**settings):
        def decorate(function):
            raise RuntimeError("cannot cache function '_probe': no locator available for file 'compiling.py'")

        return decorate

    assert compiling.settings()["cache"]
    monkeypatch.setattr(compiling, "njit", refuse)
    assert not compiling.settings()["cache"]


def test_exponentials():
    """Exponentials agree with math.exp over the whole range, underflow to 0 below, and keep NaN."""
    from train.passes.kernels import exponentiate

    x = np.concatenate([-np.logspace(-8, math.log10(86.9), 5000), [0.0, -87.5, -200.0, -np.inf]]).astype(np.float32)
    found = x[None].copy()
    exponentiate(found)
    eps = float(np.finfo(np.float32).eps)
    for value, result in zip(x[:-3].tolist(), found[0, :-3].tolist(), strict=True):
        assert result == pytest.approx(math.exp(value), rel=2 * eps)
    assert found[0, -3:].tolist() == [0.0, 0.0, 0.0]
    broken = np.array([[np.nan, 0.0]], np.float32)
    exponentiate(broken)
    assert np.isnan(broken[0, 0]) and broken[0, 1] == 1.0
