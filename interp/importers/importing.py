"""Import of models that others trained: read the file and the settings beside it, and write a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import DataError

if TYPE_CHECKING:
    from .common import Given


SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
ONE_MODEL = ("model", "pytorch_model")
"""Stems of the weight file in a folder that holds one model."""
BESIDES = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state.pth")
"""Files that Hugging Face's Trainer writes beside the weights."""
USUAL_CONFIGS = ("config.json", "cfg.json")
"""Common names of a model's JSON file."""
MAX_JSON = 4 * 2**20
"""Most bytes of a JSON file."""


def config_beside(file: Path) -> Path | None:
    """The JSON file beside a model's weights: one named after the weights first, then one of a common name."""
    folder = file if file.is_dir() else file.parent
    named = [] if file.is_dir() else [file.with_suffix(".json")]
    named += [file.with_name(file.stem.replace("model_", "config_") + ".json")] if "model_" in file.stem else []
    usual = [folder / name for name in USUAL_CONFIGS]
    if file.is_dir():  # the files of steps may lie one level below the model's own folder
        usual += [file.with_name(name) for name in USUAL_CONFIGS]
    return next((path for path in (*named, *usual) if path.is_file() and path != file), None)


def read_config(path: Path) -> dict[str, Any]:
    """The dictionary in a JSON file.

    Raises:
        DataError: the file is too large, is not JSON, or does not hold a dictionary.
    """
    import json

    try:
        if path.stat().st_size > MAX_JSON:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; a config has at most {MAX_JSON:,}")
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise DataError(f"{path} holds a {type(settings).__name__}; a dictionary of settings is needed")
    return settings


def import_run(file: Path, layout: str, out: Path, given: "Given") -> Path:
    """Import ``file`` as the run ``out``; returns the run's path.

    Args:
        file: file of weights, or a folder with one file per snapshot or with one model.
        layout: name of the layout.
        out: directory of the new run.
        given: facts from flags.

    Raises:
        UsageError: a fact is missing, or flags and file contradict each other, or ``out`` exists already.
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
    # a file of a common name may belong to something else, so the checkpoint's own config overrides it
    is_usual = beside is not None and beside.name in USUAL_CONFIGS
    config = read | own_config(raw) if is_usual else own_config(raw) | read
    try:
        model = settle_tokens(reader(layout)(raw, replace(given, config=config)), given.tokens)
        check(model)
    except DataError as error:
        raise DataError(f"{file} cannot be imported as {layout}: {error}") from error
    unknown = (*model.unknown, *(() if given.step is not None or tells_step(raw) else ("step",)))
    listed = listed_losses(raw, sorted(model.snapshots), source.name) if "step" not in unknown else None
    notes = [*model.notes, *_wrapped(prefixes(raw)), *([] if listed is None else listed.notes)]
    notes += [note for note in (identical(model.snapshots), _beside(beside)) if note is not None]
    origin = {"source": file.name, "sha256": sha256, "layout": layout, "unknown": unknown, "notes": notes}
    log = [] if listed is None else listed.rows
    return write_imported(out, model.config, origin, model.snapshots, model.is_train, log).path


def _beside(config: Path | None) -> str | None:
    return None if config is None else f"settings were read from {config.name}, which lies beside the weights"


def _wrapped(cut: list[str]) -> list[str]:
    return [f"{', '.join(map(repr, cut))} of a wrapper was removed from the names of tensors"] if cut else []


def _weights_in(path: Path) -> Path:
    """The weight file in a folder that holds one model, as Hugging Face's do; any other path is returned unchanged.

    Raises:
        DataError: the model's weights are spread over several files.
    """
    if not path.is_dir():
        return path
    for index in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (path / index).is_file():
            raise DataError(f"{path} has its weights in several files ({index}): save them in one file")
    files = [file for file in path.iterdir() if file.is_file() and file.suffix in SUFFIXES]
    ours = [file for file in files if file.stem in ONE_MODEL]
    if not ours or len(ours) < len([file for file in files if file.name not in BESIDES]):
        return path
    return min(ours, key=lambda file: SUFFIXES.index(file.suffix))


def _read(path: Path) -> tuple[Any, str]:
    """Contents of a file, or contents by step of the files in a folder; and the SHA-256.

    A file in a folder may record its step itself, as Nanda et al.'s final.pth does; otherwise the step is the number in
    the file's name, 0 for init. The SHA-256 of a folder is the hash of the lines that ``sha256sum`` prints for its
    files, sorted by name.
    """
    import hashlib
    import re

    from .archives import read_file
    from .unwrapping import own_step

    if not path.is_dir():
        return read_file(path), _sha256(path)
    by_step, lines = {}, []
    for file in sorted(f for f in path.iterdir() if f.is_file() and f.suffix in SUFFIXES):
        content, numbers = read_file(file), re.findall(r"\d+", file.stem)
        step = own_step(content)
        if step is None:
            if not numbers and file.stem != "init":
                raise DataError(f"{file} has no step in its name: name the files of a folder 0.pt, 100.pt, ...")
            step = int(numbers[-1][:15]) if numbers else 0
        if step in by_step:
            raise DataError(f"{file} is the second file of step {step} in {path}: leave one of them out")
        by_step[step] = content
        lines.append(f"{_sha256(file)}  {file.name}\n")
    if not by_step:
        raise DataError(f"{path} holds no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    return by_step, hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
