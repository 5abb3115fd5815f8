"""Reports of runs of every kind are legible and accessible: in light and dark, on a desktop, a phone and paper."""

from pathlib import Path

import pytest
from oracles.handmade import handmade_run

from tests.browser import launched, opened_in
from tests.pagechecks import everything

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_disk", "one_thread")]

TINY = "--d-model 8 --device cpu --quiet".split()
KINDS = {
    "p5": "--p 5 --train-frac 0.5 --n-heads 2 --steps 30",
    "p2": "--p 2 --train-frac 0.5 --n-heads 2 --steps 3",
    "group": "--op compose --group S3 --train-frac 0.6 --n-heads 2 --steps 100",
    "mlp": "--arch mlp --p 11 --layout a_b --train-frac 0.6 --steps 100",
    "two layers": "--p 7 --n-layers 2 --train-frac 0.6 --n-heads 2 --steps 50",
    "attention only": "--p 7 --train-frac 0.6 --n-heads 2 --steps 30 --attn-only",
    "partial": "--op div --p 7 --train-frac 0.6 --n-heads 2 --steps 30",
    "diverged": "--p 7 --train-frac 0.6 --n-heads 2 --steps 30 --lr 1000",
}


@pytest.mark.parametrize("flags", KINDS.values(), ids=KINDS)
def test_a_report_is_legible(flags: str, tmp_path: Path, capsys):
    from train import run

    given = [] if "--attn-only" in flags else ["--d-mlp", "8"]
    given += ["a b" if flag == "a_b" else flag for flag in flags.split()]
    assert run.main([*TINY, *given, "--out", str(tmp_path / "runs")]) == (1 if "--lr" in given else 0)
    capsys.readouterr()
    (path,) = map(str, (tmp_path / "runs").iterdir())
    assert found_in(path, tmp_path) == []


def test_a_report_of_one_snapshot_is_legible(tmp_path: Path):
    path = handmade_run(tmp_path / "runs", 11, (2, 5), scales=(100.0,))
    assert found_in(str(path), tmp_path) == []


def found_in(path: str, tmp_path: Path) -> list[str]:
    """What is wrong with the report of a run."""
    from interp import report

    assert report.main([path, "--out", str(tmp_path / "report"), "--quiet"]) == 0
    with launched() as browser, opened_in(browser, tmp_path / "report/index.html") as opened:
        return everything(opened)
