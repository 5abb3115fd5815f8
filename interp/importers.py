"""Other people's models as runs: ``python -m interp.importers FILE --layout NAME --out RUN``.

FILE holds weights (one snapshot or several), or is a folder with a file per step. Flags and the JSON of ``--config``
(or the one beside FILE that bears its name) fill in what the file does not say. Nothing in them is run. The last line
of standard output is the run's path. Exit status 0; 2 for bad input; 3 if the file is not what it should be.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from train.cli import parse, run_command
from train.errors import UsageError
from train.operations import nearest

if TYPE_CHECKING:
    from .layouts import Given

NAMES = ("nanda", "pizza", "reptheory", "transformerlens", "grok")


@dataclass(frozen=True)
class Options:
    """Import a model that was trained elsewhere, so that measures and reports read it like any run."""

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """Weights: .pt, .pth or .safetensors, or a folder with one such file per step."""
    layout: str | None = None
    """How they are laid out: nanda, pizza, reptheory, transformerlens or grok."""
    out: Path | None = None
    """Directory of the run; checkpoints/<the file's name> where not given."""
    config: Path | None = None
    """The model's own configuration, JSON; a file beside the weights that bears their name is found."""
    op: str | None = None
    """Operation, where the file does not say it."""
    p: int | None = None
    """Modulus, where neither file nor shapes say it."""
    group: str | None = None
    """Group, such as S5."""
    train_frac: float | None = None
    """Share of the rows that was trained on."""
    split: Literal["python", "torch"] | None = None
    """How those were drawn; unknown where not given (reptheory's is known)."""
    split_seed: int | None = None
    """Seed of the split."""
    step: int | None = None
    """Step of a single snapshot."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-import`` and ``python -m interp.importers``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, "python -m interp.importers", Options())
    if options.file is None or options.layout is None:
        raise UsageError(f"which file, and how is it laid out? give FILE and --layout, one of {', '.join(NAMES)}")
    if options.layout not in NAMES:
        hint = nearest(options.layout, NAMES)
        raise UsageError(f"unknown layout {options.layout!r}{hint}; allowed are {', '.join(NAMES)}")
    from train.imported import write_imported

    from .layouts import LAYOUTS
    from .layouts.common import complete, load_file

    given = _given(options)
    imported = complete(LAYOUTS[options.layout](load_file(options.file), given))
    origin = {
        "source": options.file.name,
        "sha256": _digest(options.file),
        "layout": options.layout,
        "unknown": imported.unknown,
        "notes": imported.notes,
    }
    out = Path("checkpoints") / options.file.stem if options.out is None else options.out
    store = write_imported(out, imported.config, origin, imported.snapshots, imported.is_train)
    for note in imported.notes:
        print(note, file=sys.stderr)
    print(store.path)
    return 0


def _given(options: Options) -> "Given":
    from .layouts import Given

    assert options.file is not None
    path = options.config
    beside = options.file.with_suffix(".json")
    if path is None and beside.is_file():
        path = beside
    names = ("op", "p", "group", "train_frac", "split", "split_seed", "step")
    config = {} if path is None else _read_config(path)
    return Given(**{name: getattr(options, name) for name in names}, config=config)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no JSON object: a model's configuration was expected")
    return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files one after another in order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
