"""Models that others trained, as runs: ``python -m interp.importers FILE --layout LAYOUT --out RUN``.

FILE is a state dict or a checkpoint (torch.save's or .safetensors), a folder with one file per step, or a folder of one
model as Hugging Face's have it. Nothing in a file is run: see ``layouts.pickled``. The last
line of standard output is the run's path. Exit status 0; 2 for bad flags; 3 for a file that does not fit, in which
case nothing is written.
"""

import sys
from dataclasses import dataclass, replace
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
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
ONE_MODEL = ("model", "pytorch_model")
"""Stems of the file of weights in a folder of one model."""
BESIDES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state.pth")
"""What Hugging Face's Trainer writes beside it."""
USUAL_CONFIGS = ("config.json", "cfg.json")
MAX_JSON = 4 * 2**20


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
    """The model's own JSON file; where not given the one beside FILE with its name, config.json or cfg.json."""
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
    tokens: str | None = None
    """The row of tokens that the model read, such as 'a 114 b 113': operands a and b, the other tokens by number."""


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
    return Given(
        op=options.op,
        p=options.p,
        group=options.group,
        train_frac=options.train_frac,
        split=options.split,
        split_seed=options.split_seed,
        step=options.step,
        tokens=options.tokens,
        config={} if options.config is None else _json(options.config),
    )


def config_beside(file: Path) -> Path | None:
    """The model's own JSON file, where it lies beside its weights: by its name first, then by the usual ones."""
    folder = file if file.is_dir() else file.parent
    named = [] if file.is_dir() else [file.with_suffix(".json")]
    named += [file.with_name(file.stem.replace("model_", "config_") + ".json")] if "model_" in file.stem else []
    usual = [folder / name for name in USUAL_CONFIGS]
    if file.is_dir():  # steps below the model's own folder
        usual += [file.with_name(name) for name in USUAL_CONFIGS]
    return next((path for path in (*named, *usual) if path.is_file() and path != file), None)


def _json(path: Path) -> dict[str, Any]:
    import json

    try:
        if path.stat().st_size > MAX_JSON:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; a config has at most {MAX_JSON:,}")
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

    from .layouts import LAYOUTS, check, identical, listed_losses, own_config, prefixes, settle_tokens, tells_step

    source = _weights_in(file)
    raw, sha256 = _read(source)
    beside = None if given.config else config_beside(source)
    read = given.config if beside is None else _json(beside)
    is_usual = (
        beside is not None and beside.name in USUAL_CONFIGS
    )  # may be of something else: the file's own comes first
    told = read | own_config(raw) if is_usual else own_config(raw) | read
    try:
        found = settle_tokens(LAYOUTS[layout](raw, replace(given, config=told)), given.tokens)
        check(found)
    except DataError as error:
        raise DataError(f"{file} cannot be imported as {layout}: {error}") from error
    unknown = (*found.unknown, *(() if given.step is not None or tells_step(raw) else ("step",)))
    listed = listed_losses(raw, sorted(found.snapshots), source.name) if "step" not in unknown else None
    notes = [*found.notes, *_wrapped(prefixes(raw)), *([] if listed is None else listed.notes)]
    notes += [note for note in (identical(found.snapshots),) if note is not None]
    notes += [] if beside is None else [f"settings were read from {beside.name}, which lies beside the weights"]
    origin = {"source": file.name, "sha256": sha256, "layout": layout, "unknown": unknown, "notes": notes}
    log = [] if listed is None else listed.rows
    return write_imported(out, found.config, origin, found.snapshots, found.is_train, log).path


def _wrapped(cut: list[str]) -> list[str]:
    return [f"the names of its tensors are without {', '.join(map(repr, cut))}, which wrappers add"] if cut else []


def _weights_in(path: Path) -> Path:
    """The file of weights in a folder of one model, as Hugging Face's have it; the path itself where it is none.

    Raises:
        DataError: its weights are spread over several files.
    """
    if not path.is_dir():
        return path
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (path / index).is_file():
            raise DataError(f"{path} has its weights in several files ({index}): save them as one")
    files = [file for file in path.iterdir() if file.is_file() and file.suffix in SUFFIXES]
    ours = [file for file in files if file.stem in ONE_MODEL]
    if not ours or len(ours) < len([file for file in files if file.name not in BESIDES]):
        return path
    return min(ours, key=lambda file: SUFFIXES.index(file.suffix))


def _read(path: Path) -> tuple[Any, str]:
    """What the file holds, or {step: what each file of a folder holds}; and the SHA-256.

    A file of a folder may tell its step itself, as Nanda et al.'s final.pth does; otherwise it is the number in its
    name, 0 for init. The SHA-256 of a folder is that of what ``sha256sum`` prints of its files, sorted by name.
    """
    import hashlib
    import re

    from .layouts import own_step, read_file

    if not path.is_dir():
        return read_file(path), _sha256(path)
    found, lines = {}, []
    for file in sorted(f for f in path.iterdir() if f.is_file() and f.suffix in SUFFIXES):
        content, numbers = read_file(file), re.findall(r"\d+", file.stem)
        step = own_step(content)
        if step is None:
            if not numbers and file.stem != "init":
                raise DataError(f"{file} has no step in its name: name the files of a folder 0.pt, 100.pt, ...")
            step = int(numbers[-1][:15]) if numbers else 0
        if step in found:
            raise DataError(f"{file} is the second file of step {step} in {path}: leave one of them out")
        found[step] = content
        lines.append(f"{_sha256(file)}  {file.name}\n")
    if not found:
        raise DataError(f"{path} holds no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    return found, hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
