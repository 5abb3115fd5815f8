"""A run killed and resumed on an accelerator, beside an undisturbed run there."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu.bench import Bench, setting
from gpu.passes import accelerators_pass
from gpu.trainee import train_into

CASES: dict[str, dict[str, Any]] = {
    "all rows": {},
    "batches, dropout and noise": {"batch_size": "power", "dropout": 0.1, "update_noise": 0.1},
}


def killed_and_resumed(bench: Bench) -> None:
    """Kill runs between two snapshots, resume each in another process, and compare to the last bit."""
    bench.found["rows"] = []
    for name, fields in CASES.items():
        bench.attempt(f"{name}: killed and resumed", lambda name=name, fields=fields: _case(bench, name, fields))


def _case(bench: Bench, name: str, fields: dict[str, Any]) -> None:
    import torch

    from train.config.presets import find_preset

    last, kill_at = (60, 41) if bench.is_small else (600, 411)
    config = setting(find_preset("quick").config, bench, steps=last, **fields)
    folder = bench.folder / f"resumed-{len(bench.found['rows'])}"
    with accelerators_pass(bench.device):
        whole = train_into(config, folder / "left alone", bench.device)
    status = _elsewhere(bench, config, folder / "killed", str(kill_at))
    before = max(type(whole)(folder / "killed" / whole.path.name).steps, default=0)
    bench.check(
        f"{name}: killed",
        status == -signal.SIGKILL and 0 < before < kill_at,
        f"exit status {status}; at step {kill_at}, {kill_at - before} after the last snapshot",
    )
    status = _elsewhere(bench, config, folder / "killed", "end")
    again = type(whole)(folder / "killed" / whole.path.name)
    ours, theirs = (store.load_snapshot(last) for store in (again, whole))
    is_same = all(torch.equal(ours[key], theirs[key]) for key in theirs)
    apart = max(float((ours[key].double() - theirs[key].double()).abs().max()) for key in theirs)
    logs_agree = _log(again) == _log(whole)
    bench.found["rows"].append(
        {"run": name, "steps": last, "killed_at": kill_at, "weights_apart": apart, "logs_agree": logs_agree}
    )
    saw = (
        f"exit status {status}; largest difference of a weight {apart:.1e}; logs {'agree' if logs_agree else 'differ'}"
    )
    bench.check(f"{name}: resumed, bit for bit", status == 0 and is_same and logs_agree, saw)


def _elsewhere(bench: Bench, config: Any, folder: Path, kill_at: str) -> int:
    """Train in another process and return its exit status."""
    command = [sys.executable, str(Path(__file__).parent / "trainee.py"), str(folder), str(bench.device), kill_at]
    text = json.dumps(config.to_dict())
    limit = max(bench.left_s, 1)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=limit)
    if done.returncode not in (0, -signal.SIGKILL):
        bench.note(" ".join(done.stderr.split()[-60:]))
    return done.returncode


def _log(store: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in store.read_log()]
