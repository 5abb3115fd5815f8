"""Runs of models that others trained: the file and the settings beside it are read, and the run is written."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import DataError

if TYPE_CHECKING:
    from .common import Given


SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
ONE_MODEL = ("model", "pytorch_model")
"""Stems of the file of weights in a folder of one model."""
BESIDES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state.pth")
"""What Hugging Face's Trainer writes beside it."""
USUAL_CONFIGS = ("config.json", "cfg.json")
MAX_JSON = 4 * 2**20


def config_beside(file: Path) -> Path | None:
    """The model's own JSON file, where it lies beside its weights: by its name first, then by the usual ones."""
    folder = file if file.is_dir() else file.parent
    named = [] if file.is_dir() else [file.with_suffix(".json")]
    named += [file.with_name(file.stem.replace("model_", "config_") + ".json")] if "model_" in file.stem else []
    usual = [folder / name for name in USUAL_CONFIGS]
    if file.is_dir():  # steps below the model's own folder
        usual += [file.with_name(name) for name in USUAL_CONFIGS]
    return next((path for path in (*named, *usual) if path.is_file() and path != file), None)


def read_config(path: Path) -> dict[str, Any]:
    """The dictionary in a JSON file.

    Raises:
        DataError: it is too large, not JSON, or no dictionary.
    """
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
    from train.storage.imported import write_imported

    from .check import check
    from .layouts import reader
    from .losses import identical, listed_losses
    from .tokens import settle_tokens
    from .unwrapping import own_config, prefixes, tells_step

    source = _weights_in(file)
    raw, sha256 = _read(source)
    beside = None if given.config else config_beside(source)
    read = given.config if beside is None else read_config(beside)
    is_usual = (
        beside is not None and beside.name in USUAL_CONFIGS
    )  # may be of something else: the file's own comes first
    told = read | own_config(raw) if is_usual else own_config(raw) | read
    try:
        found = settle_tokens(reader(layout)(raw, replace(given, config=told)), given.tokens)
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

    from .archives import read_file
    from .unwrapping import own_step

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
