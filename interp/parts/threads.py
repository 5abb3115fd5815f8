"""Threads of analyses: several snapshots at once, and one thread within each operation.

Operations on the few megabytes of a snapshot gain little from threads of their own, and next to another process that
uses a core they lose much, because OpenMP's threads wait for one another by spinning.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

from interp.runs.run import Run
from train.passes.threads import Threads

MOST_SNAPSHOTS = 4
"""Largest number of snapshots that are processed at once."""
MOST_LOGITS = 20_000_000
"""Number of a snapshot's logits above which snapshots are processed one by one, to bound memory."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A context in which operations of PyTorch and of BLAS use one thread each."""
    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def threads_for(run: Run) -> Threads:
    """Threads that each process a snapshot of a run: one a core, fewer where snapshots are large."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    logits = len(run.task.tokens) * len(run.task.answer_positions) * run.store.config.d_vocab_out
    return Threads(1 if logits > MOST_LOGITS else min(cores, MOST_SNAPSHOTS))
