"""UMAP in a process of its own, beside the caller's work: compiling it takes longer than all else on a page."""

import atexit
import functools
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from .projections import umap_over_training

CHILD = """
import io, sys
data = sys.stdin.buffer.read()  # before the slow imports, so that the parent need not wait
sys.path.insert(0, sys.argv[1])
import numpy, torch
from interp.maths.projections import umap_over_training
numpy.save(out := io.BytesIO(), umap_over_training(torch.from_numpy(numpy.load(io.BytesIO(data)))).numpy())
sys.stdout.buffer.write(out.getvalue())  # numpy cannot save to a pipe
"""
ROOT = Path(__file__).resolve().parents[2]


def umap_beside(W: Float[Tensor, "s n d"]) -> Callable[[], Float32[Tensor, "s n 2"]]:
    """Start ``umap_over_training(W)`` in another process. Returns a function that waits for the maps.

    Where the other process fails, the function computes the maps itself, so that errors are those of
    ``umap_over_training``.
    """
    command = [sys.executable, "-P", "-c", CHILD, str(ROOT)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    atexit.register(process.kill)  # a caller that ends early reads no maps
    assert process.stdin is not None
    np.save(sent := io.BytesIO(), W.double().numpy())
    try:
        with process.stdin:
            process.stdin.write(sent.getvalue())
    except BrokenPipeError:
        pass

    @functools.cache
    def result() -> Float32[Tensor, "s n 2"]:
        assert process.stdout is not None
        with process.stdout:
            data = process.stdout.read()
        status = process.wait()
        atexit.unregister(process.kill)
        if status == 0:
            return torch.from_numpy(np.load(io.BytesIO(data)))
        return umap_over_training(W)

    return result
