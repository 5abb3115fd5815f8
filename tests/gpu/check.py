"""Check and measure training on an accelerator: ``make gpu``, or ``python tests/gpu/check.py`` from a bare checkout.

Nothing needs to be installed but the packages that the checkout imports. Every stage is a process of its own, with a
share of the time; each result is written to disk at once. Files: accelerator.json and accelerator.md.

Exit statuses: 0 all checks passed, 1 a check failed or was not done, 2 there is no such device.
"""

import argparse
import contextlib
import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from gpu.bench import Bench, write  # noqa: E402 - it is found by the line above
from gpu.markdown import page  # noqa: E402

SHARES = {"machine": 0.04, "singles": 0.25, "end": 0.15, "resumed": 0.13, "speed": 0.25, "plain": 0.03, "tests": 0.15}
"""Share of the time by stage. A stage starts after the one before and must end within the sum of shares up to it."""
SPARE_S = 5.0
"""Seconds that a stage has to end by itself before it is stopped."""
FAILED, NO_DEVICE = 1, 2


def main() -> int:
    """Run the stages; with the internal flag --stage, run one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 ...; cpu is a dry run")
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/accelerator", help="folder of the two files")
    parser.add_argument("--only", nargs="*", choices=list(SHARES), default=list(SHARES), help="stages to run")
    parser.add_argument("--small", action="store_true", help="tiny models and few steps: tries the script itself")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", choices=list(SHARES), help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    return _one(given) if given.stage is not None else _all(given)


def _all(given: Any) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # a stage does not outlive this process
    started, result = time.monotonic(), _head(given)
    files = given.out / "accelerator.json", given.out / "accelerator.md"
    used = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for name, share in SHARES.items():
            if name not in given.only and name != "machine":
                continue
            used += share
            total = sum(share for stage, share in SHARES.items() if stage in given.only or stage == "machine")
            limit = max(given.seconds * used / total - (time.monotonic() - started), 1.0)
            if name != "machine":
                print(f"{name}: at most {limit:.0f} s", file=sys.stderr, flush=True)
            result["stages"][name] = stage = _in_a_process(given, name, Path(scratch), limit)
            if name == "machine" and ("no_device" in stage or stage["ended"] != "done"):
                print(f"nothing was run: {stage.get('no_device', stage['ended'])}", file=sys.stderr)
                return NO_DEVICE
            given.out.mkdir(parents=True, exist_ok=True)
            result["took_s"] = round(time.monotonic() - started, 1)
            result["ok"] = _is_well(result["stages"]) and len(result["stages"]) == len({*given.only, "machine"})
            write(files[0], json.dumps(result, indent=1) + "\n")
            write(files[1], page(result))
            for check in stage.get("checks", []):
                print(f"  {'passed' if check['ok'] else 'FAILED'}  {check['name']}: {check['saw']}", file=sys.stderr)
            if stage["ended"] != "done":
                print(f"  FAILED  {name}: {stage['ended']}", file=sys.stderr)
    for file in files:
        print(file)
    return 0 if result["ok"] else FAILED


def _head(given: Any) -> dict[str, Any]:
    """The head of the result: command, date, commit, seed and time budget."""
    from train.storage.provenance import git_state

    git = git_state()
    commit = "unknown" if git is None else git["commit"] + " with changes" * git["dirty"]
    command = shlex.join(["python", "tests/gpu/check.py", *sys.argv[1:]])
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = {"command": command, "date": date, "commit": commit, "seed": given.seed, "is_small": given.small}
    return head | {"budget_s": given.seconds, "took_s": 0.0, "ok": False, "stages": {}}


def _is_well(stages: dict[str, Any]) -> bool:
    return all(s["ended"] == "done" and all(check["ok"] for check in s.get("checks", [])) for s in stages.values())


def _in_a_process(given: Any, name: str, scratch: Path, limit: float) -> dict[str, Any]:
    """The results of a stage, even if the stage did not end."""
    command = [sys.executable, __file__, "--stage", name, "--scratch", str(scratch), "--device", given.device]
    command += ["--seed", str(given.seed), "--seconds", str(max(limit - SPARE_S, 1.0)), *["--small"] * given.small]
    started = time.monotonic()
    given_to: Any = {"cwd": ROOT, "stdout": sys.stderr, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, process_group=0, **given_to) as process:
        try:
            _, said = process.communicate(timeout=limit)
            status = process.returncode
            ended = "done" if status == 0 else f"status {status}: {' '.join(said.split())[-300:]}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {limit:.0f} s"
        finally:  # with what it started: they would go on using the device
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    file = scratch / f"{name}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return {**found, "ended": ended, "seconds": round(time.monotonic() - started, 1)}


def _one(given: Any) -> int:
    """Run one stage in this process."""
    from gpu import agreement, resumed, speed, suite

    from train.cli.arguments import find_device
    from train.errors import UsageError

    into = given.scratch / f"{given.stage}.json"
    try:
        device = find_device(given.device)
    except (UsageError, ImportError) as error:
        write(into, json.dumps({"no_device": str(error)}))
        return NO_DEVICE
    stages = {
        "machine": _machine,
        "singles": agreement.singles,
        "end": agreement.to_the_end,
        "resumed": resumed.killed_and_resumed,
        "speed": speed.table,
        "plain": speed.plain,
        "tests": suite.marked,
    }
    bench = Bench(device, given.small, given.seed, given.scratch, into, given.seconds)
    stages[given.stage](bench)
    bench.save()
    return 0


def _machine(bench: Bench) -> None:
    """Record the device and its driver."""
    import torch

    import train
    from train.storage.provenance import cpu_name, versions

    is_cuda = bench.device.type == "cuda"
    bench.found |= {
        "kind": bench.device.type,
        "package": str(Path(train.__file__).parent),
        "name": torch.cuda.get_device_name(bench.device) if is_cuda else cpu_name(),
        "memory_bytes": torch.cuda.get_device_properties(bench.device).total_memory if is_cuda else None,
        "driver": _driver() if is_cuda else None,
        "cuda": torch.version.cuda,
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "versions": {"python": sys.version.split()[0], **versions()},
    }


def _driver() -> str:
    """Version of the NVIDIA driver, from nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown: nvidia-smi does not run"
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
