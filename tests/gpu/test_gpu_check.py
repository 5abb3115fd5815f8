"""The script of ``make gpu``, on a CPU and tiny models: its stages notice both success and failure."""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from gpu import agreement, resumed, speed, suite
from gpu.bench import ROOT, Bench
from gpu.markdown import page

pytestmark = pytest.mark.usefixtures("one_thread", "quick_disk")


@pytest.fixture
def bench(tmp_path):
    return Bench(torch.device("cpu"), True, 0, tmp_path, tmp_path / "found.json", 300.0)


def outcomes(bench):
    """Outcomes of the checks as saved on disk, where a killed process would leave them."""
    return {check["name"]: check["ok"] for check in json.loads(bench.into.read_text())["checks"]}


def test_single_runs_agree(bench, monkeypatch):
    few = ("power, small", "dropout", "bfloat16", "tf32")
    monkeypatch.setattr(agreement, "CASES", {name: agreement.CASES[name] for name in few})
    agreement.singles(bench)
    names = ["power, small, float64", "power, small, float32", "dropout, float64", "bfloat16, float64"]
    assert outcomes(bench) == dict.fromkeys([*names, "bfloat16, bfloat16"], True)
    assert all(row["float64"] < 1e-8 and row.get("allowed", 0) < 0.1 for row in bench.found["rows"])


def test_control_runs_that_part_are_seen(bench, monkeypatch):
    """Runs at different learning rates fail the comparison; an error is a failed check and ends nothing else."""
    monkeypatch.setattr(agreement, "CASES", {"quick": agreement.CASES["quick"], "broken": ("quick", {"op": "nothing"})})
    usual = agreement.first_losses
    rates = itertools.cycle((1e-3, 1e-4))  # the first of two runs is the accelerator's

    def parted(config, device, steps):
        from train.config.settings import override

        return usual(override(config, {"lr": next(rates)}), device, steps)

    monkeypatch.setattr(agreement, "first_losses", parted)
    agreement.singles(bench)
    assert outcomes(bench) == {"quick, float64": False, "quick, float32": False, "broken": False}


def test_ends_agree(bench, monkeypatch):
    agreement.to_the_end(bench)
    assert all(outcomes(bench).values()) and len(outcomes(bench)) == 3
    assert bench.found["cpu"]["step"] == 200
    verdicts = iter(("clock", "pizza"))
    bench.found["checks"] = []
    monkeypatch.setattr(agreement, "train_into", lambda config, folder, device: saved(folder))  # trained above
    monkeypatch.setattr(agreement, "verdict_of", lambda run: next(verdicts))
    agreement.to_the_end(bench)
    assert not outcomes(bench)["quick at its end: verdict"]  # control


def saved(folder):
    from train.storage.store import RunStore

    (path,) = folder.iterdir()
    return RunStore.open(path)


def test_a_killed_run_is_resumed(bench, monkeypatch):
    monkeypatch.setattr(resumed, "CASES", {"batches": {"batch_size": "power", "dropout": 0.1}})
    resumed.killed_and_resumed(bench)
    assert outcomes(bench) == {"batches: killed": True, "batches: resumed, bit for bit": True}


def test_speed_and_its_floors(bench):
    speed.table(bench)
    rows = bench.found["rows"]
    assert [(row["preset"], row["k"], row["at_once"]) for row in rows] == [
        (preset, k, k) for preset in ("quick", "nanda") for k in (1, 2, 4)
    ]
    assert all(row["model_steps_per_s"] == pytest.approx(1e3 * row["k"] / row["ms"]) for row in rows)
    assert all(0 < row["products_ms"] and 0 < row["bytes_ms"] for row in rows)
    speed.plain(bench)


def test_memory_that_ends_and_time_that_ends_are_said(bench, monkeypatch):
    def full(bench, configs):
        if len(configs) > 1:
            raise torch.OutOfMemoryError("tried to allocate 80 GB")
        return {"model_steps_per_s": 1.0, "ms": 1.0, "at_once": 1, "n_weights": 10, "estimate_bytes": 10}

    monkeypatch.setattr(speed, "measured", full)
    speed.table(bench)
    assert [row["k"] for row in bench.found["rows"]] == [1, 1]
    assert "quick: K = 2 did not run: the memory ends: tried to allocate 80 GB" in bench.found["notes"]
    assert not outcomes(bench)["every K that the estimate lets through ran"]
    bench.seconds = 0.0
    speed.table(bench)
    assert "nanda: K = 1 was not tried: no time was left" in "".join(bench.found["notes"])


def test_memory_is_compared_with_its_estimate(bench):
    """A further run of 100 bytes passes an estimate of 150 and fails one of 90."""
    row = {"preset": "nanda", "standing_bytes": 1700}
    bench.found["rows"] = [
        {**row, "k": 16, "estimate_bytes": 2400},
        {**row, "k": 32, "standing_bytes": 3300, "estimate_bytes": 4800},
        {**row, "k": 64, "standing_bytes": 6500, "estimate_bytes": 5760},
    ]
    speed._check_memory(bench)
    assert list(outcomes(bench).values()) == [True, False, True]


def test_marked_tests_are_counted(bench, monkeypatch, tmp_path):
    """A passing and a failing marked test are counted; unmarked tests and files without marks are left out."""
    folder = tmp_path / "tests"
    folder.mkdir()
    passing, failing = (f"import pytest\n@pytest.mark.gpu\ndef test_{i}(): assert {i}\n" for i in (1, 0))
    (folder / "test_some.py").write_text(passing + failing + "def test_other(): assert False\n")
    (folder / "test_none.py").write_text("raise RuntimeError\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["gpu"]\n')
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "PLUGINS", ("no_such_plugin",))
    suite.marked(bench)
    assert outcomes(bench) == {"tests marked gpu": False}
    assert (bench.found["passed"], bench.found["settings"]) == (1, "plain")
    assert [case["test"] for case in bench.found["failed"]] == ["tests.test_some::test_0"]


def test_from_a_bare_checkout(tmp_path):
    """A bare copy run from elsewhere uses its own code, whatever is installed, and writes both files."""
    copy = tmp_path / "checkout"
    for name in ("train", "interp", "tests/gpu", "tests/benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = copy / "tests/gpu/check.py"
    command = [sys.executable, str(script), "--device", "cpu", "--small", "--only", "plain", "--out", "made"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / line for line in done.stdout.splitlines()]
    assert [file.name for file in files] == ["accelerator.json", "accelerator.md"]
    result = json.loads(files[0].read_text())
    assert result["ok"] and set(result["stages"]) == {"machine", "plain"}
    machine = result["stages"]["machine"]
    assert (machine["kind"], machine["package"]) == ("cpu", str(copy / "train"))
    assert "A dry run" in files[1].read_text()
    assert page(result) == files[1].read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device(tmp_path):
    """Without a GPU the script prints one line, exits with status 2 and writes no file."""
    command = [sys.executable, str(ROOT / "tests/gpu/check.py"), "--out", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("nothing was run: device 'cuda' is not available here")
    assert not (tmp_path / "made").exists()


ENDLESS = """
import subprocess, sys, time
from pathlib import Path
scratch = Path(sys.argv[sys.argv.index("--scratch") + 1])
child = subprocess.Popen(["sleep", "60"])
(scratch / "speed.json").write_text('{"rows": [' + str(child.pid) + "]}")
time.sleep(60)
"""


def test_a_stage_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    """An endless stage is stopped with its child processes, and its results so far are kept."""
    from gpu import check

    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    monkeypatch.setattr(check, "__file__", str(script))
    given = argparse.Namespace(device="cpu", seed=0, small=True)
    found = check._in_a_process(given, "speed", tmp_path, 2.0)
    assert found["ended"] == "stopped after 2 s"
    assert not check._is_well({"speed": found})
    state, end = Path(f"/proc/{found['rows'][0]}/stat"), time.monotonic() + 5
    while state.exists() and state.read_text().split()[2] != "Z":  # a killed process takes a moment to go
        assert time.monotonic() < end, "the child process is still running"
        time.sleep(0.02)
