"""The JSON files of a run: their shapes, and the seal that says that nothing in them has changed.

A sealed document is an object with the key ``sha256``: the SHA-256 of the canonical JSON of all its other keys.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from train.errors import DataError

from .files import read_regular
from .json_files import parse_json
from .strict import (
    Shape,
    checked,
    constant,
    flag,
    free,
    integer,
    listed,
    mapping,
    nullable,
    number,
    record,
    text,
)

FORMAT = 2
OLD_FORMAT = 1
"""The one before, whose files carry no checksums of their own: read, called not verified, upgraded when trained on."""

STEP = integer(0, 10**12)
SHA256 = text("[0-9a-f]{64}")
RUN = text(r"[\w.=+-]{1,200}")
"""A run's id."""
CHECK = text("[0-9a-f]{16}|")
"""Checksum of a log row, which stands for all rows up to it; empty where there are none."""

BOUND = {"run": (4_000_000, 200_000), "manifest": (32_000_000, 1_200_000), "done": (20_000, 100)}
"""Most bytes and most values of each kind of document."""

SESSION = record(
    {},
    {
        "command": text(),
        "from_step": STEP,
        "device": text(),
        "threads": integer(1),
        "host": text(),
        "cpu": text(),
        "cores": nullable(integer(1)),
        "python": text(),
        "versions": mapping(text()),
        "git": nullable(record({"commit": text(), "dirty": flag}, {}, others=free)),
        "side_by_side": integer(1),
        "notes": listed(text(), 1000),
    },
    others=free,
)
ORIGIN = record({"kind": constant("imported")}, {}, others=free)
INFO = {"config": record({}, {}, others=free), "sessions": listed(SESSION, 100_000)}
ENTRY = {"step": STEP, "file": text(), "bytes": integer(1), "sha256": SHA256}
LOG_MARK = record({"rows": integer(), "check": CHECK})
"""How far the log goes: its number of rows, and the last one's checksum."""

SEALED_RUN = record(
    {"format": constant(FORMAT), "run": RUN, "sha256": SHA256, **INFO},
    {"origin": ORIGIN},
)
OLD_RUN = record({"format": constant(OLD_FORMAT), **INFO}, {"origin": ORIGIN})
SEALED_MANIFEST = record(
    {"format": constant(FORMAT), "run": RUN, "snapshots": listed(record(ENTRY), 300_000), "sha256": SHA256}
)
OLD_MANIFEST = listed(record(ENTRY), 300_000)
SEALED_DONE = record(
    {
        "run": RUN,
        "step": STEP,
        "log": LOG_MARK,
        "snapshots": integer(),
        "sessions": integer(),
        "split": flag,
        "sha256": SHA256,
    }
)
OLD_DONE = record({"step": STEP})

RULE = record({"n_extra": integer(), "test_loss": nullable(number()), "test_acc": nullable(number())})
STATE = record({"step": STEP, "wall_s": number(0.0), "rule": RULE})
"""What a resume state says besides its tensors."""
RESUME = record(
    {
        "kind": constant("resume"),
        "run": RUN,
        "state": STATE,
        "kept": LOG_MARK,
        "logged": LOG_MARK,
        "snapshots": integer(),
        "sessions": integer(),
        "sha256": SHA256,
    }
)
SNAPSHOT = record({"kind": constant("snapshot"), "run": RUN, "step": STEP, "sha256": SHA256})
SPLIT = record({"kind": constant("split"), "run": RUN, "sha256": SHA256})
METADATA = {"resume": RESUME, "snapshot": SNAPSHOT, "split": SPLIT}
"""What stands in the one metadata key of a safetensors file of a run, by kind."""
OLD_METADATA = {"resume": STATE, "snapshot": record({"step": STEP}), "split": record({})}


def canonical(content: Any) -> bytes:
    """The one text of a JSON value: sorted names, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(content: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical(content)).hexdigest()


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A document with its seal."""
    return {**content, "sha256": digest(content)}


def read_document(path: Path, kind: str, shape: Shape, old_shape: Shape | None) -> tuple[Any, bool]:
    """A document's content without its seal, and whether it had one.

    Args:
        path: the file.
        kind: "run", "manifest" or "done".
        shape: of a sealed document.
        old_shape: of one of the format before, which has no seal; None where such a one is not allowed.

    Raises:
        MissingFile: a DataError; it is not there.
        DataError: it cannot be read, its content is not what its seal says, or not of the shape.
    """
    most_bytes, most_values = BOUND[kind]
    value = parse_json(read_regular(path, most_bytes), path, most_values)
    if old_shape is not None and not (isinstance(value, dict) and "sha256" in value):
        return checked(value, old_shape, path), False
    if not isinstance(value, dict) or type(value.get("sha256")) is not str:
        raise DataError(f"{path} is damaged: it does not carry the SHA-256 of its content")
    content = {name: item for name, item in value.items() if name != "sha256"}
    try:
        is_whole = digest(content) == value["sha256"]
    except RecursionError:
        is_whole = False
    if not is_whole:
        raise DataError(f"{path} is damaged: its content is not what its own SHA-256 says")
    checked(value, shape, path)
    return content, True


def check_run(found: str, expected: str, path: Path) -> None:
    """Refuse a file of another run.

    Raises:
        DataError: it names another one.
    """
    if found != expected:
        raise DataError(f"{path} belongs to run {found}, not to {expected}: files of two runs were mixed")
