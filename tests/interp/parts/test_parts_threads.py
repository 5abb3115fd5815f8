"""Analyses on several threads: the same numbers in the same order, whatever the number of cores."""

import os
import threading

import pytest
import torch
from oracles.runs import random_run

STEPS = tuple(range(0, 70, 10))


@pytest.mark.parametrize("cores", [2, 3])
def test_a_table_does_not_depend_on_the_number_of_cores(cores, tmp_path, monkeypatch):
    from interp import open_run
    from interp.measures import load, table
    from interp.measures.registry import MEASURES, Measure

    path, threads, visited = random_run(tmp_path, op="add", p=11, steps=STEPS).path, set(), []
    names = ["test_loss", "logit_cos", "neuron_fraction_fve85", "excluded_loss_logit2d_train"]

    def noted(snap):
        threads.add(threading.get_ident())
        return float(torch.get_num_threads())

    load()
    monkeypatch.setitem(MEASURES, "noted", Measure("noted", "threads", "", "", "losses", noted))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    alone = table(open_run(path), names)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    before = torch.get_num_threads()
    together = table(open_run(path), [*names, "noted"], visit=lambda snap: visited.append(snap.step))
    assert torch.get_num_threads() == before
    assert visited == list(STEPS)
    assert set(together.query("measure == 'noted'")["value"]) == {1.0}
    together = together.query("measure != 'noted'").reset_index(drop=True)
    assert together.equals(alone)
    assert 1 <= len(threads) <= cores
    assert not together.equals(table(open_run(path), names, steps=STEPS[1:]))  # control


def test_large_snapshots_are_processed_one_by_one(tmp_path, monkeypatch):
    import interp.parts.threads as threads

    run = random_run(tmp_path, op="add", p=11)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert threads.threads_for(run).count == threads.MOST_SNAPSHOTS
    monkeypatch.setattr(threads, "MOST_LOGITS", 121 * run.config.d_vocab_out - 1)
    assert threads.threads_for(run).count == 1
