"""A run trained into a folder by the engine: here, or as ``python tests/gpu/trainee.py`` to be killed."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def train_into(config: Any, folder: Path, device: Any, kill_at: int | None = None) -> Any:
    """Train to the end from what the folder holds and return the store; the process kills itself at ``kill_at``."""
    from train.engine.loop import train
    from train.storage.store import RunStore

    folder.mkdir(parents=True, exist_ok=True)
    store = RunStore.create(folder, config)

    def before_each_update() -> None:
        if kill_at is not None and reached[0] >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        reached[0] += 1

    resume = store.load_resume()
    reached = [0 if resume is None else resume[1]["step"]]
    with store.lock():
        train(config, store, device, stop_signal=before_each_update)
    return store


def main() -> None:
    """Train with arguments folder, device, step to die at (or "end"), and the config as JSON on standard input."""
    root = Path(__file__).parent.parent.parent
    sys.path[:0] = [str(root), str(root / "tests")]
    from gpu.passes import accelerators_pass

    from train.cli.arguments import find_device
    from train.config.run import RunConfig

    folder, name, kill_at = sys.argv[1:]
    device, config = find_device(name), RunConfig.from_dict(json.load(sys.stdin))
    with accelerators_pass(device):
        train_into(config, Path(folder), device, None if kill_at == "end" else int(kill_at))


if __name__ == "__main__":
    main()
