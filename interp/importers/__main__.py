"""Import a model that was trained elsewhere as a run: ``python -m interp.importers FILE --layout LAYOUT --out RUN``.

FILE is a state dict or a checkpoint (from ``torch.save``, or .safetensors), a folder with one file per step, or the
folder of one model as Hugging Face's libraries save it. No code in a file is executed: see ``importers.pickled``. The
last line of standard output is the run's path. Exit status 0; 2 for bad flags; 3 for a file that does not fit the
layout, in which case nothing is written.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from train.cli.command import parse, required, run_command
from train.cli.terminal import say
from train.config.task import Split
from train.errors import UsageError
from train.hints import nearest

from .layouts import LAYOUTS

if TYPE_CHECKING:
    from .common import Given


@dataclass(frozen=True)
class Options:
    """Import a model that was trained elsewhere as a run; anything its files do not record is given by flags."""

    file: Annotated[Path | None, tyro.conf.Positional, required("FILE")] = None
    """A state dict or checkpoint, or a folder with one file per step, its number in the name."""
    layout: Annotated[
        str | None, required("NAME"), tyro.conf.arg(help=f"Code that saved the file: {', '.join(LAYOUTS)}.")
    ] = None
    out: Annotated[Path | None, required("RUN")] = None
    """Directory of the run to write; it must not exist yet."""
    config: Path | None = None
    """JSON file of the model's settings; by default the one beside FILE named like it, or config.json or cfg.json."""
    op: str | None = None
    """Operation that the model learned."""
    p: int | None = None
    """Modulus."""
    group: str | None = None
    """Group of compose, conjugate or sandwich."""
    train_frac: float | None = None
    """Share of the rows that the model was trained on."""
    split: Split | None = None
    """How the training rows were drawn; unknown by default, unless the layout implies it."""
    split_seed: int | None = None
    """Seed of the split."""
    step: int | None = None
    """Updates done, if the file does not record them; without either the snapshot is stored as step 0, step unknown."""
    tokens: str | None = None
    """Row of tokens that the model reads, such as 'a 114 b 113': operands a and b, other tokens by number."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-import`` and ``python -m interp.importers``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    options: Options = parse(Options, argv, "python -m interp.importers", Options())
    if options.file is None or options.out is None or options.layout is None:
        raise UsageError("give FILE, --layout and --out, such as model.pt --layout nanda --out checkpoints/nanda")
    if options.layout not in LAYOUTS:
        near = nearest(options.layout, LAYOUTS)
        raise UsageError(f"unknown layout {options.layout!r}{near}; allowed are {', '.join(LAYOUTS)}")
    if not options.file.exists():
        raise UsageError(f"{options.file} does not exist: give a file of weights, or a folder of them")
    if options.step is not None and options.step < 0:
        raise UsageError(f"--step {options.step} is not allowed; it must be 0 or more")
    from .importing import import_run

    say(import_run(options.file, options.layout, options.out, _given(options, options.file)))
    return 0


def _given(options: Options, file: Path) -> "Given":
    from .common import Given
    from .importing import read_config

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
        config={} if options.config is None else read_config(options.config),
    )


if __name__ == "__main__":
    raise SystemExit(main())
