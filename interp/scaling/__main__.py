"""The scaling theory from the shell: ``python -m interp.scaling NAME``, and its page, ``report``.

Exit status 0; 2 for bad input; 3 for data that cannot be used, or a calculation without a result.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import tyro

from train.cli.command import called, parse, print_version, run_command
from train.cli.terminal import say
from train.errors import UsageError
from train.hints import nearest

from .errors import theory_errors
from .options import (
    CompareOptions,
    ExponentsOptions,
    FlowOptions,
    FrontOptions,
    LateOptions,
    PlateausOptions,
    ReportOptions,
)


def main(argv: "list[str] | None" = None) -> int:
    """Entry point of ``groklens-scaling`` and ``python -m interp.scaling``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


@theory_errors()
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

    from interp.theory.finite import kernel_bytes, projected
    from interp.theory.flow import flow, wide
    from interp.theory.spectrum import power_law
    from train.engine.memory import check_fits
    from train.scaling.checks import check_seed

    if options.n is None:
        if options.seed != 0:
            raise UsageError(
                f"seed = {options.seed} does nothing here: it draws A(0) of a width; give --n, or leave it out"
            )
        modes = wide(power_law(options.alpha, options.beta))
    else:
        check_seed(options.seed)
        check_fits(kernel_bytes(options.n), f"a width of {options.n:,}", "n")
        modes = projected(options.alpha, options.beta, options.n, np.random.default_rng(options.seed))
    curve = flow(modes, options.gamma, options.t_max)
    columns = {"t": curve.t.tolist(), "loss": curve.loss.tolist(), "q": curve.q.tolist()}
    return _json(columns) if options.json else _table(columns, np.linspace(0, len(curve.t) - 1, 10).astype(int))


def _exponents(options: ExponentsOptions) -> int:
    from interp.theory.exponents import exponents

    predicted = exponents(options.alpha, options.beta, options.gamma).to_json()
    if options.json:
        return _json(predicted)
    for name, value in predicted.items():
        say(f"{name:8} {'not claimed' if value is None else value if isinstance(value, str) else f'{value:.4g}'}")
    return 0


def _late(options: LateOptions) -> int:
    import numpy as np

    from interp.theory.exponents import lazy_loss, rich_loss
    from interp.theory.flow import LATEST, flow, wide
    from interp.theory.spectrum import power_law

    alpha, beta, gamma = options.alpha, options.beta, options.gamma
    for time in _several(options.t, "--t"):
        if not 0 < time <= LATEST:
            raise UsageError(f"t = {time:g} is not allowed: give times > 0, up to {LATEST:g}")
    t = np.array(options.t)
    formula = lazy_loss(alpha, beta, t) if gamma == 0 else rich_loss(alpha, beta, gamma, t)
    loss = flow(wide(power_law(alpha, beta)), gamma, float(t.max())).at(t)
    columns = {"t": t, "formula": formula, "flow": loss, "ratio": loss / formula}
    return _shown({name: values.tolist() for name, values in columns.items()}, options.json)


def _plateaus(options: PlateausOptions) -> int:
    from interp.theory.plateaus import data_plateau, model_plateau
    from interp.theory.spectrum import power_law

    task, sizes = power_law(options.alpha, options.beta), list(_several(options.sizes, "--sizes"))
    model, data = ([plateau(task, size) for size in sizes] for plateau in (model_plateau, data_plateau))
    return _shown({"size": sizes, "width": model, "samples": data}, options.json)


def _front(options: FrontOptions) -> int:
    from interp.theory.exponents import exponents
    from interp.theory.finite import kernel_bytes
    from interp.theory.fronts import fronts
    from train.engine.memory import check_fits
    from train.scaling.checks import check_seed

    alpha, beta, gamma, widths = options.alpha, options.beta, options.gamma, options.widths
    check_seed(options.seed)
    check_fits(kernel_bytes(max(widths, default=0)), f"a width of {max(widths, default=0):,}", "the largest width")
    (front,) = fronts(alpha, [(beta, gamma)], widths, options.draws, options.seed, b=options.b, eta=options.eta)
    compute, loss, n = front.kinks
    measured, expected = front.exponents(), exponents(alpha, beta, gamma, infinite_batch=options.b is None)
    columns = {"compute": compute.tolist(), "loss": loss.tolist(), "n": n.tolist()}
    pairs = {"measured": list(measured), "predicted": [expected.compute, expected.n_opt]}
    if options.json:
        return _json(columns | pairs)
    _table(columns)
    for name, (falls, grows) in pairs.items():
        say(f"{name:9} loss falls as C^-{falls:.3f}, the best width grows as C^{grows:.3f}")
    return 0


def _compare(options: CompareOptions) -> int:
    import numpy as np

    from .comparison import compare

    compared = compare(options.run)
    if options.json:
        columns = compared.curves.astype(object).where(compared.curves.notna(), None).to_dict("list")
        return _json({"config": compared.config.to_json(), "which": compared.theory, **columns})
    say(compared.theory)
    rows = np.unique(np.linspace(0, len(compared.curves) - 1, 10).astype(int))
    shown = compared.curves.iloc[rows].to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.4g}")
    say(*shown.split("\n"))
    return 0


def _report(options: ReportOptions) -> int:
    from interp.pages.overview import build
    from interp.pages.writing import write

    options.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made is refused before minutes of work
    say(write(build(options.quiet), options.out, options.quiet))
    return 0


def _several(values: Sequence[Any], flag: str) -> Sequence[Any]:
    """The values of a flag that takes one or more.

    Raises:
        UsageError: there is none.
    """
    if not values:
        raise UsageError(f"{flag} has no value: give at least one")
    return values


def _shown(columns: Mapping[str, Sequence[Any]], as_json: bool) -> int:
    return _json(dict(columns)) if as_json else _table(columns)


def _table(columns: Mapping[str, Sequence[Any]], rows: Sequence[int] | Any = None) -> int:
    """Print columns of numbers below their names: all rows, or the rows of these indices."""
    say(" ".join(f"{name:>12}" for name in columns))
    for i in range(len(next(iter(columns.values())))) if rows is None else rows:
        say(" ".join(f"{values[i]:12.4g}" for values in columns.values()))
    return 0


def _json(values: dict[str, Any]) -> int:
    say(json.dumps(values, allow_nan=False))
    return 0


COMMANDS: "dict[str, tuple[type, Any]]" = {
    "flow": (FlowOptions, _flow),
    "exponents": (ExponentsOptions, _exponents),
    "late": (LateOptions, _late),
    "plateaus": (PlateausOptions, _plateaus),
    "front": (FrontOptions, _front),
    "compare": (CompareOptions, _compare),
    "report": (ReportOptions, _report),
}
"""Options and function of each command."""

if __name__ == "__main__":
    raise SystemExit(main())
