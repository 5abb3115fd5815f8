"""The inputs of a stage of the checks, and the results that it saves."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Bench:
    """A stage's device, scale, time and scratch folder; ``found`` holds the results so far."""

    device: Any
    is_small: bool
    """Whether this is a dry run on tiny models, which exercises the script and measures nothing."""
    seed: int
    folder: Path
    into: Path
    seconds: float
    """Time after which the stage should end by itself."""
    found: dict[str, Any] = field(default_factory=lambda: {"checks": [], "notes": []})
    started: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds of the stage that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def check(self, name: str, is_well: bool, saw: str) -> None:
        """Record and save the outcome of a check."""
        self.found["checks"].append({"name": name, "ok": bool(is_well), "saw": saw})
        self.save()

    def attempt(self, name: str, do: Callable[[], None]) -> None:
        """Run one part of a stage; an error counts as a failed check, and the next part still runs."""
        try:
            do()
        except Exception as error:
            line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.check(name, False, line)

    def note(self, text: str) -> None:
        """Record and save a remark."""
        self.found["notes"].append(text)
        self.save()

    def save(self) -> None:
        """Write the results so far, so that a killed stage leaves them behind."""
        write(self.into, json.dumps(self.found, indent=1))


def write(path: Path, text: str) -> None:
    """Replace a file's contents atomically."""
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_text(text)
    aside.replace(path)


SIZES = {"p", "d_model", "n_heads", "batch_size"}


def setting(config: Any, bench: Bench, **fields: Any) -> Any:
    """A config with fields by their flat names; in a dry run, tiny sizes replace the given ones."""
    from train.config.settings import override

    tiny: dict[str, Any] = {}
    if bench.is_small:
        tiny = {"p": 11, "train_frac": 0.5, "d_model": 16, "n_heads": 2, "d_mlp": 32}
        tiny |= {"batch_size": 20} if isinstance(fields.get("batch_size"), int) else {}
        fields = {name: value for name, value in fields.items() if name not in SIZES or value == "power"}
    return override(override(config, tiny), {"seed": bench.seed, **fields})
