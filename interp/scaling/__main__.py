"""The theory from the shell: ``python -m interp.scaling flow|exponents|compare --json``, and its page: ``report``.

Exit status 0; 2 for bad input; 3 for data that cannot be used.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from train.cli.command import called, parse, print_version, run_command
from train.cli.terminal import say
from train.errors import UsageError
from train.hints import nearest
from train.scaling.checks import check_seed


@dataclass(frozen=True)
class FlowOptions:
    """Loss curve of the closed gradient flow: arrays t (eta times updates), loss (sum lambda v^2, no 1/2) and q."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    t_max: float
    """Last time."""
    n: int | None = None
    """Width, one draw of A(0); infinite where not given."""
    seed: int = 0
    """Of that draw."""
    json: bool = False
    """Print one JSON object; a table of ten times where not given."""


@dataclass(frozen=True)
class ExponentsOptions:
    """Regime and exponents of a task."""

    alpha: float
    """Capacity, > 1."""
    beta: float
    """Source, > 0."""
    gamma: float
    """Strength of feature learning; 0 is lazy."""
    json: bool = False
    """Print one JSON object; a table where not given."""


@dataclass(frozen=True)
class CompareOptions:
    """A simulation on disk beside the theory that holds for it; python -m interp.report RUN draws it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Directory that python -m train.scaling wrote."""
    json: bool = False
    """Print one JSON object, null for what is not known; a table of ten steps where not given."""


@dataclass(frozen=True)
class ReportOptions:
    """The page: phase map, time exponents, theory beside simulation, compute fronts, over a grid of tasks."""

    out: Path = Path("reports/scaling")
    """Folder for index.html."""
    quiet: bool = False
    """Print nothing but the page's path."""


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-scaling`` and ``python -m interp.scaling``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: "list[str]") -> int:
    print_version(argv)
    if not argv or argv[0] in ("-h", "--help"):
        say(
            f"usage: {called('python -m interp.scaling')} {{{','.join(COMMANDS)}}} ...",
            "",
            *(__doc__ or "").split("\n"),
        )
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        raise UsageError(f"no command {name!r}{nearest(name, COMMANDS)}; allowed are {', '.join(COMMANDS)}")
    kind, command = COMMANDS[name]
    return command(parse(kind, rest, f"python -m interp.scaling {name}", tyro.MISSING_NONPROP))


def _flow(options: FlowOptions) -> int:
    import numpy as np

    from interp.theory.finite import projected
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law

    if options.n is None:
        if options.seed != 0:
            raise UsageError(
                f"seed = {options.seed} does nothing here: it draws A(0) of a width; give --n, or leave it out"
            )
        modes = wide(power_law(options.alpha, options.beta))
    else:
        check_seed(options.seed)
        modes = projected(options.alpha, options.beta, options.n, np.random.default_rng(options.seed))
    curve = flow(modes, options.gamma, options.t_max)
    if options.json:
        return _json({"t": curve.t.tolist(), "loss": curve.loss.tolist(), "q": curve.q.tolist()})
    say(f"{'t':>12} {'loss':>12} {'q':>12}")
    for i in np.linspace(0, len(curve.t) - 1, 10).astype(int):
        say(f"{curve.t[i]:12.4g} {curve.loss[i]:12.4g} {curve.q[i]:12.4g}")
    return 0


def _exponents(options: ExponentsOptions) -> int:
    from interp.theory.exponents import exponents

    found = exponents(options.alpha, options.beta, options.gamma).to_json()
    if options.json:
        return _json(found)
    for name, value in found.items():
        say(f"{name:8} {'not claimed' if value is None else value if isinstance(value, str) else f'{value:.4g}'}")
    return 0


def _compare(options: CompareOptions) -> int:
    import numpy as np

    from .comparison import compare

    found = compare(options.run)
    if options.json:
        columns = found.curves.astype(object).where(found.curves.notna(), None).to_dict("list")
        return _json({"config": found.config.to_json(), "which": found.theory, **columns})
    say(found.theory)
    rows = np.unique(np.linspace(0, len(found.curves) - 1, 10).astype(int))
    shown = found.curves.iloc[rows].to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}")
    say(*shown.split("\n"))
    return 0


def _report(options: ReportOptions) -> int:
    from interp.pages.overview import build

    say(build(options.out, options.quiet))
    return 0


def _json(found: dict[str, Any]) -> int:
    say(json.dumps(found, allow_nan=False))
    return 0


COMMANDS: "dict[str, tuple[type, Any]]" = {
    "flow": (FlowOptions, _flow),
    "exponents": (ExponentsOptions, _exponents),
    "compare": (CompareOptions, _compare),
    "report": (ReportOptions, _report),
}
"""Options and function of each."""

if __name__ == "__main__":
    raise SystemExit(main())
