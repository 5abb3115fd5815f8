"""The smallest moduli and groups, and the smallest training and test sets, give complete reports."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_disk", "one_thread")

TINY = "--d-model 8 --n-heads 2 --d-mlp 8 --steps 3 --device cpu --quiet".split()
CASES = {
    "p2": "--p 2 --train-frac 0.5",
    "p3": "--p 3 --train-frac 0.5",
    "mul p3": "--op mul --p 3 --train-frac 0.5",
    "C2": "--op compose --group C2 --train-frac 0.5",
    "one training row": "--p 5 --train-frac 0.05",
    "one test row": "--p 5 --train-frac 0.97",
}


@pytest.mark.parametrize("flags", CASES.values(), ids=CASES)
def test_a_whole_report(tmp_path, capsys, flags):
    from interp import report
    from train import run

    assert run.main([*TINY, *flags.split(), "--out", str(tmp_path)]) == 0
    (path,) = map(Path, capsys.readouterr().out.split())
    status = report.main([str(path), "--out", str(tmp_path / "report"), "--quiet"])
    _, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert not (tmp_path / "report/errors.txt").exists()


def test_what_does_not_apply_says_why(tmp_path):
    from oracles.runs import random_run

    from interp.measures import choose
    from interp.parts.memo import Unavailable

    (measure,) = choose(["key_freqs_nanda_code"])
    alone, two = (random_run(tmp_path / str(p), op="add", p=p).last for p in (3, 5))
    found = measure(alone)
    assert isinstance(found, Unavailable) and "there is only one" in found.reason
    assert isinstance(measure(two), dict), "the control"
