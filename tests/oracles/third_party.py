"""Models that others trained and published, as runs: ``published_run(name, folder, root)``.

The files are not redistributed here: ``GROKLENS_THIRD_PARTY`` names the folder that holds them.
"""

import os
from pathlib import Path

VARIABLE = "GROKLENS_THIRD_PARTY"

_NO_WD = ("--op", "add", "--p", "113", "--train-frac", "0.9", "--split", "python", "--split-seed", "0")
_LOW = ("--op", "add", "--p", "113", "--train-frac", "0.3", "--split", "python", "--split-seed", "1")
MODELS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Nanda no_wd": ("nanda_mod_addition_no_wd.pth", "nanda", _NO_WD),
    "Nanda low_precision": ("nanda_low_precision_mod_addition.pth", "nanda", _LOW),
    "C113_T_seed1": ("reptheory_C113_T_seed1.pt", "reptheory", ()),
    "S5_T_seed1": ("reptheory_S5_T_seed1.pt", "reptheory", ()),
    "A5_T_seed4": ("reptheory_A5_T_seed4.pt", "reptheory", ()),
    "Pizza A": ("pizza_model_a.pt", "pizza", ()),
}
"""File, layout and the importer's flags, by the model's name."""


def folder() -> Path | None:
    """The folder of the published files, or None if the environment does not name one."""
    given = Path(os.environ.get(VARIABLE) or "missing")
    return given if given.is_dir() else None


def published_run(name: str, source: Path, root: Path):
    """The Run of a published model, imported below ``root``."""
    from interp import open_run
    from interp.importers.__main__ import main

    file, layout, flags = MODELS[name]
    path = root / file
    assert main([str(source / file), "--layout", layout, "--out", str(path), *flags]) == 0
    return open_run(path)
