"""Models that others trained, as runs: ``python -m interp.importers FILE --layout LAYOUT --out RUN``.

FILE is a state dict or a checkpoint (torch.save's or .safetensors), a folder with one file per step, or a folder of one
model as Hugging Face's have it. Nothing in a file is run: see ``importers.pickled``. The last
line of standard output is the run's path. Exit status 0; 2 for bad flags; 3 for a file that does not fit, in which
case nothing is written.
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

if TYPE_CHECKING:
    from .common import Given


NAMES = ("nanda", "pizza", "reptheory", "transformerlens", "grok")
"""Of ``interp.importers.layouts.LAYOUTS``, which takes seconds to import."""


@dataclass(frozen=True)
class Options:
    """Make a run of a model that was trained elsewhere; flags say what its files do not."""

    file: Annotated[Path | None, tyro.conf.Positional, required("FILE")] = None
    """A state dict or checkpoint, or a folder with one file per step, its number in the name."""
    layout: Annotated[str | None, required("NAME")] = None
    """nanda, pizza, reptheory, transformerlens or grok."""
    out: Annotated[Path | None, required("RUN")] = None
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
