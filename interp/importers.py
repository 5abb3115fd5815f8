"""Models that others trained, as runs: ``python -m interp.importers FILE --layout LAYOUT --out RUN``.

FILE is a state dict or a checkpoint (torch.save's or .safetensors), or a folder with one file per step. The last
line of standard output is the run's path. Exit status 0; 2 for bad flags; 3 for a file that does not fit, in which
case nothing is written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from train.cli import parse, run_command
from train.config import Split
from train.errors import DataError, UsageError
from train.hints import nearest
from train.terminal import say

if TYPE_CHECKING:
    from .layouts import Given

NAMES = ("nanda", "pizza", "reptheory", "transformerlens", "grok")
"""Of ``interp.layouts.LAYOUTS``, which takes seconds to import."""


@dataclass(frozen=True)
class Options:
    """Make a run of a model that was trained elsewhere; flags say what its files do not."""

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """A state dict or checkpoint, or a folder with one file per step, its number in the name."""
    layout: str | None = None
    """nanda, pizza, reptheory, transformerlens or grok."""
    out: Path | None = None
    """The run's directory, to be made."""
    config: Path | None = None
    """The model's own JSON file; where not given the one beside FILE with its name (reptheory: cfg.json too)."""
    op: str | None = None
    """Operation it learned."""
    p: int | None = None
    """Modulus."""
    group: str | None = None
    """Group of compose, conjugate or sandwich."""
    train_frac: float | None = None
    """Share of the rows it was trained on."""
    split: Split | None = None
    """How these rows were drawn; unknown where neither this nor the layout says it."""
    split_seed: int | None = None
    """Seed of the split."""
    step: int | None = None
    """Updates done, where the file does not say; 0 where not given."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-import`` and ``python -m interp.importers``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, "python -m interp.importers", Options())
    if options.file is None or options.out is None or options.layout is None:
        raise UsageError("give FILE, --layout and --out, such as model.pt --layout nanda --out checkpoints/nanda")
    if options.layout not in NAMES:
        near = nearest(options.layout, NAMES)
        raise UsageError(f"unknown layout {options.layout!r}{near}; allowed are {', '.join(NAMES)}")
    if not options.file.exists():
        raise UsageError(f"{options.file} does not exist: give a file of weights, or a folder of them")
    if options.step is not None and options.step < 0:
        raise UsageError(f"--step {options.step} is not allowed; it must be 0 or more")
    say(import_run(options.file, options.layout, options.out, _given(options, options.file)))
    return 0


def _given(options: Options, file: Path) -> "Given":
    from .layouts import Given

    if options.config is not None and not options.config.is_file():
        raise UsageError(f"--config {options.config} is not there: give a JSON file")
    beside = [file.with_suffix(".json"), file.with_name(file.stem.replace("model_", "config_") + ".json")]
    beside += [file / "cfg.json", file.with_name("cfg.json")] if options.layout == "reptheory" else []
    path = options.config or next((path for path in beside if path.is_file() and path != file), None)
    return Given(
        op=options.op,
        p=options.p,
        group=options.group,
        train_frac=options.train_frac,
        split=options.split,
        split_seed=options.split_seed,
        step=options.step,
        config={} if path is None else _json(path),
    )


def _json(path: Path) -> dict[str, Any]:
    import json

    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds a {type(found).__name__}; a dictionary of settings is needed")
    return found


def import_run(file: Path, layout: str, out: Path, given: "Given") -> Path:
    """Import ``file`` as the run ``out``; its path.

    Raises:
        UsageError: something is not said, or said twice, or ``out`` is there already.
        DataError: the file cannot be read, or does not fit the layout.
    """
    from train.imported import write_imported

    from .layouts import LAYOUTS, check, tells_step

    raw, sha256 = _read(file)
    try:
        found = LAYOUTS[layout](raw, given)
        check(found)
    except DataError as error:
        raise DataError(f"{file} cannot be imported as {layout}: {error}") from error
    unknown = (*found.unknown, *(() if given.step is not None or tells_step(raw) else ("step",)))
    origin = {"source": file.name, "sha256": sha256, "layout": layout, "unknown": unknown, "notes": found.notes}
    return write_imported(out, found.config, origin, found.snapshots, found.is_train).path


def _read(path: Path) -> tuple[Any, str]:
    """What the file holds, or {step: what each file of a folder holds}; and the SHA-256.

    A file of a folder may tell its step itself, as Nanda et al.'s final.pth does; otherwise it is the number in its
    name, 0 for init. The SHA-256 of a folder is that of what ``sha256sum`` prints of its files, sorted by name.
    """
    import hashlib
    import re

    from .layouts.common import own_step

    if not path.is_dir():
        return _load(path), hashlib.sha256(path.read_bytes()).hexdigest()
    found, lines = {}, []
    for file in sorted(f for f in path.iterdir() if f.is_file() and f.suffix in (".pt", ".pth", ".safetensors")):
        content, numbers = _load(file), re.findall(r"\d+", file.stem)
        step = own_step(content)
        if step is None:
            if not numbers and file.stem != "init":
                raise DataError(f"{file} has no step in its name: name the files of a folder 0.pt, 100.pt, ...")
            step = int(numbers[-1]) if numbers else 0
        if step in found:
            raise DataError(f"{file} is the second file of step {step} in {path}: leave one of them out")
        found[step] = content
        lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    if not found:
        raise DataError(f"{path} holds no .pt, .pth or .safetensors file")
    return found, hashlib.sha256("".join(lines).encode()).hexdigest()


def _load(path: Path) -> Any:
    """Tensors and plain values; a file that needs classes of its own is refused, and nothing in it is run."""
    import safetensors.torch
    import torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"{path} is damaged, or needs classes to be read ({type(error).__name__}): it must hold tensors and plain "
            "values alone, as torch.save(model.state_dict(), ...) writes them"
        ) from error


if __name__ == "__main__":
    raise SystemExit(main())
