"""Sweeps whose workers are killed at random, on each engine: all runs complete, none is trained twice, same results.

Slurm is stood in for by an ``sbatch`` and ``scancel`` of ours that start and end the jobs as processes of this machine:
the job script is dask-jobqueue's own. ``psutil`` finds the workers.
"""

import contextlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sweeping import BASE, numbers

SPEC = (
    BASE
    + """
steps = 900
per_decade = 6
[axes]
op = ["add", "mul"]
lr = [1e-3, 2e-3, 3e-3]
[slurm]
jobs = 2
cores = 1
memory = "1GB"
interface = "lo"
"""
)
KILLS = 2
"""Workers that are killed: after each one there is a worker to start, which is most of such a test's time."""
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s", "DASK_JOBQUEUE__SLURM__DEATH_TIMEOUT": "30",
}  # fmt: skip


def started(folder: Path, *flags: str, env: "dict[str, str] | None" = None) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-P", "-m", "train.sweep", str(folder / "grid.toml"), "--out", str(folder / "out")]
    command += ["--stack", "2", "--device", "cpu", *flags]
    return subprocess.Popen(
        command, env=env or ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The undisturbed sweep, by the local engine with one worker: to start a process costs more than to train here."""
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "grid.toml").write_text(SPEC)
    done = started(folder, "--workers", "1")
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, err
    assert out.splitlines()[-1] == str(folder / "out/grid")
    return folder / "out/grid"


def below(process: psutil.Process, mark: str) -> list[psutil.Process]:
    """Descendants of a process whose command line holds ``mark``."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [p for p in process.children(recursive=True) if is_marked(p, mark)]
    return []


def is_marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return mark in " ".join(process.cmdline())
    return False


def killed_at_random(process, workers, root: Path, seed: int, most: int = KILLS) -> tuple[int, dict[str, int]]:
    """Kill workers (found by ``workers()``) while runs are trained, at random instants, until the sweep ends.

    Returns how many were killed, and when each run was seen to be done first.
    """
    rng, kills, done, due, killed_at = random.Random(seed), 0, {}, None, 0.0
    until = time.monotonic() + 240
    while process.poll() is None:
        assert time.monotonic() < until, "the sweep does not end"
        for path in root.glob("*/DONE"):
            done.setdefault(path.parent.name, path.stat().st_mtime_ns)
        if kills < most and due is None and has_news(root / ".status", killed_at):  # a worker trains (again)
            due = time.monotonic() + rng.uniform(0, 0.4)
        if due is not None and time.monotonic() > due and (found := workers()):
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(found).send_signal(signal.SIGKILL)
                kills += 1
            due, killed_at = None, time.time()
        time.sleep(0.02)
    return kills, done


def has_news(folder: Path, since: float) -> bool:
    """Whether a worker has written of its runs after ``since``."""
    for path in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime > since:
                return True
    return False


def assert_whole(folder: Path, process, kills: int, done: dict[str, int], unbroken: Path) -> None:
    out, err = process.communicate()
    assert process.returncode == 0, err
    root = folder / "out/grid"
    assert kills >= 2
    runs = sorted(p.parent.name for p in unbroken.glob("*/run.json"))
    assert len(runs) == 12 and sorted(p.parent.name for p in root.glob("*/DONE")) == runs
    for name in runs:
        assert numbers(root / name) == numbers(unbroken / name), name
    for name, at in done.items():  # a finished run was not touched again
        assert (root / name / "DONE").stat().st_mtime_ns == at
    assert "12 done" in out and not list(root.glob("*/failed.json"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "grid.toml").write_text(SPEC)
    return tmp_path


@pytest.mark.parametrize("most", [KILLS, pytest.param(6, marks=pytest.mark.slow)])
def test_local_workers_are_killed(folder, unbroken, most):
    process = started(folder, "--workers", "2")
    own = psutil.Process(process.pid)
    kills, done = killed_at_random(process, lambda: below(own, "spawn_main"), folder / "out/grid", seed=1, most=most)
    assert_whole(folder, process, kills, done, unbroken)


@pytest.mark.parametrize("most", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_whole_sweep_is_killed_and_started_again(folder, unbroken, most):
    """With its workers; what is finished is left alone, the rest goes on."""
    root, done, rounds = folder / "out/grid", {}, 0
    while True:
        process = started(folder, "--workers", "2")
        until = time.monotonic() + 240
        enough = len(done) + 3
        while (
            process.poll() is None
            and time.monotonic() < until
            and (rounds == most or len(list(root.glob("*/DONE"))) < enough)
        ):
            time.sleep(0.02)
        if process.poll() is not None:
            break
        rounds += 1
        for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.communicate()
        done |= {path.parent.name: path.stat().st_mtime_ns for path in root.glob("*/DONE")}
    assert_whole(folder, process, 2 + rounds, done, unbroken)
    assert rounds == most


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_the_command_alone_is_stopped(folder, unbroken, signum):
    """Its workers save what they have and leave; the next command goes on at once."""
    root = folder / "out/grid"
    process = started(folder, "--workers", "2")
    until = time.monotonic() + 120
    while not list(root.glob("*/DONE")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    workers = below(psutil.Process(process.pid), "spawn_main")
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    if signum == signal.SIGTERM:
        assert process.returncode == 128 + signum and "signal 15; saved: run the command again to resume" in err
        assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=20)[1]
    done = {path.parent.name: path.stat().st_mtime_ns for path in root.glob("*/DONE")}
    process = started(folder, "--workers", "2")
    process.wait(timeout=240)
    assert_whole(folder, process, 2, done, unbroken)


@pytest.mark.slow  # the jobs of the next test are dask workers too
def test_dask_workers_are_killed(folder, unbroken):
    where = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(where)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where), "--nthreads", "1"]
    worker += ["--no-dashboard", "--local-directory", str(folder / "dask")]
    quiet = {"env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    cluster = [subprocess.Popen(command, **quiet)]
    try:
        until = time.monotonic() + 60
        while not where.exists() and time.monotonic() < until:
            time.sleep(0.05)
        import json

        address = json.loads(where.read_text())["address"]
        cluster += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        process = started(folder, "--engine", "dask", "--address", address)
        nannies = [psutil.Process(p.pid) for p in cluster[1:]]

        def workers():
            return [child for nanny in nannies for child in below(nanny, "spawn_main")]

        kills, done = killed_at_random(process, workers, folder / "out/grid", seed=2)
        assert_whole(folder, process, kills, done, unbroken)
    finally:
        end(cluster)


def end(processes) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.wait()


SBATCH = """#!/bin/sh
# Slurm's sbatch, on this machine: it keeps the script, and the job is a process in a session of its own
script="{jobs}.$$.sh"
cp "$1" "$script"
setsid sh "$script" >> "{jobs}.log" 2>&1 &
echo $! >> "{jobs}"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job" 2>/dev/null; done
exit 0
"""


@pytest.fixture
def with_slurm(folder):
    """An environment with ``sbatch`` and ``scancel`` of ours, and the file of the jobs' numbers."""
    tools, jobs = folder / "tools", folder / "jobs"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH.format(jobs=jobs)), ("scancel", SCANCEL)):
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    yield {**ENVIRONMENT, "PATH": f"{tools}:{os.environ['PATH']}"}, jobs
    for job in jobs.read_text().split() if jobs.exists() else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(job), signal.SIGKILL)


def test_slurm_jobs_lose_their_workers(folder, unbroken, with_slurm):
    env, jobs = with_slurm
    process = started(folder, "--engine", "slurm", env=env)

    def workers():
        numbers = [int(job) for job in jobs.read_text().split()] if jobs.exists() else []
        found = []
        for number in numbers:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += below(psutil.Process(number), "spawn_main")
        return found

    kills, done = killed_at_random(process, workers, folder / "out/grid", seed=3)
    assert_whole(folder, process, kills, done, unbroken)
    assert len(jobs.read_text().split()) == 2


def test_the_job_script_is_what_slurm_is_asked_for(tmp_path, monkeypatch):
    from train.errors import UsageError
    from train.sweep.engines import slurm_cluster

    monkeypatch.chdir(tmp_path)
    asked = {"cores": 3, "memory": "5GB", "walltime": "01:30:00", "queue": "gpu", "interface": "lo"}
    with slurm_cluster({**asked, "job_extra_directives": ["--gres=gpu:1"]}) as cluster:
        script = cluster.job_script()
    assert script.count("--nthreads") == 2 and script.rindex("--nthreads 1 ") > script.index("--nthreads")
    for line in ("-p gpu", "--cpus-per-task=3", "-t 01:30:00", "--mem=5G", "--gres=gpu:1"):
        assert f"#SBATCH {line}" in script, script
    with pytest.raises(UsageError, match=r"unknown 'partition' in \[slurm\]"):
        slurm_cluster({"partition": "gpu"})


def test_no_scheduler_is_one_line(folder):
    process = started(folder, "--engine", "dask", "--address", "tcp://127.0.0.1:1")
    _, err = process.communicate(timeout=120)
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert process.returncode == 2 and len(errors) == 1 and "no dask scheduler that answers" in errors[0]
    assert "Traceback" not in err
