"""The JSON files of a run: their schemas, and the seal, a checksum that detects changed content.

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
"""The older format, whose files have no checksums: readable, reported as not verified, upgraded by training."""

STEP = integer(0, 10**12)
SHA256 = text("[0-9a-f]{64}")
RUN = text(r"[\w.=+-]{1,200}")
"""A run's id."""
CHECK = text("[0-9a-f]{16}|")
"""Checksum of a log row and all rows before it; empty for an empty log."""

BOUND = {"run": (4_000_000, 200_000), "manifest": (32_000_000, 1_200_000), "done": (20_000, 100)}
"""Upper limits on the bytes and the values of each kind of document."""

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
"""The end of a log: number of rows, and checksum of the last row."""

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
"""The content of a resume state besides tensors."""
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
"""Schema of the metadata entry of a run's safetensors files, by kind."""
OLD_METADATA = {"resume": STATE, "snapshot": record({"step": STEP}), "split": record({})}


def canonical(content: Any) -> bytes:
    """The canonical text of a JSON value: sorted names, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(content: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical(content)).hexdigest()


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """The document ``content`` with its seal."""
    return {**content, "sha256": digest(content)}


def read_document(path: Path, kind: str, shape: Shape, old_shape: Shape | None) -> tuple[Any, bool]:
    """A document's content without the seal, and whether the document was sealed.

    Args:
        path: the file.
        kind: "run", "manifest" or "done".
        shape: schema of a sealed document.
        old_shape: schema in the older format, which has no seal; None if that format is not allowed.

    Raises:
        MissingFile: there is no such file.
        DataError: the file cannot be read, or its content does not match the seal or the schema.
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
        DataError: the file names another run.
    """
    if found != expected:
        raise DataError(f"{path} belongs to run {found}, not to {expected}: files of two runs were mixed")
