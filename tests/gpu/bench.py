"""What a stage of the checks is given, and where it keeps what it finds."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Bench:
    """A stage's device, scale, time and scratch folder; ``found`` is what it has found so far."""

    device: Any
    is_small: bool
    """A dry run on tiny models: it tries the script, and measures nothing."""
    seed: int
    folder: Path
    into: Path
    seconds: float
    """After which the stage should end by itself."""
    found: dict[str, Any] = field(default_factory=lambda: {"checks": [], "notes": []})
    started: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds of the stage that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def check(self, name: str, is_well: bool, saw: str) -> None:
        """Keep the outcome of a check."""
        self.found["checks"].append({"name": name, "ok": bool(is_well), "saw": saw})
        self.save()

    def attempt(self, name: str, do: Callable[[], None]) -> None:
        """Run one part of a stage; an error is a check that failed, and the next part goes on."""
        try:
            do()
        except Exception as error:
            line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            self.check(name, False, line)

    def note(self, text: str) -> None:
        """Keep a remark."""
        self.found["notes"].append(text)
        self.save()

    def save(self) -> None:
        """Write what is found so far: a stage that is killed leaves it."""
        write(self.into, json.dumps(self.found, indent=1))


def write(path: Path, text: str) -> None:
    """Replace a file's contents, as a whole."""
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_text(text)
    aside.replace(path)


SIZES = {"p", "d_model", "n_heads", "batch_size"}


def setting(config: Any, bench: Bench, **fields: Any) -> Any:
    """A config with fields by their flat names; for a dry run of tiny sizes in the place of its own."""
    from train.config.settings import override

    tiny: dict[str, Any] = {}
    if bench.is_small:
        tiny = {"p": 11, "train_frac": 0.5, "d_model": 16, "n_heads": 2, "d_mlp": 32}
        tiny |= {"batch_size": 20} if isinstance(fields.get("batch_size"), int) else {}
        fields = {name: value for name, value in fields.items() if name not in SIZES or value == "power"}
    return override(override(config, tiny), {"seed": bench.seed, **fields})
