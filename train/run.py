"""Train a small transformer on a modular or group operation: ``python -m train.run [flags]``.

The last line of standard output is the run's directory (with ``--seeds``, a line for each run). Run the same
command again to resume, or with a larger ``--steps`` to extend.
"""

import sys

from train.cli.command import run_command
from train.cli.request import Options, Request, read_request
from train.cli.terminal import say, tell_error

SOME_FAILED = 4
"""Exit status if any of several runs failed."""


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``groklens-train`` and ``python -m train.run``."""
    return run_command(lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: list[str]) -> int:
    request = read_request(argv)
    options = request.options
    if options.list_presets or options.list_operations or options.list_interventions:
        _print_lists(options)
        return 0
    return _train(request, argv)


def _print_lists(options: Options) -> None:
    from train.algebra.operations import OPERATIONS
    from train.config.interventions import INTERVENTIONS, flags_of
    from train.config.presets import PRESETS

    if options.list_presets:
        for name, preset in PRESETS.items():
            say(f"{name:11} {preset.doc}", f"{'':11} {preset.source}")
    if options.list_operations:
        for name, op in OPERATIONS.items():
            where = "--group" if op.domain == "group" else "prime --p" if op.needs_prime else "any --p"
            say(f"{name:12} {where:10} {op.doc}")
    if options.list_interventions:
        for one in INTERVENTIONS:
            say(one.doc, f"    {' '.join(flags_of(one))}", f"    {one.source}")


def _train(request: Request, argv: list[str]) -> int:
    from train.cli.running import train_request

    runs = train_request(request, ["python", "-m", "train.run", *argv], say)
    failed = [(store, error) for store, error in runs if error is not None]
    if failed and len(runs) == 1:
        raise failed[0][1]
    for store, _ in runs:
        say(store.path)
    for store, error in failed:
        tell_error(f"{store.path.name} failed: {error}")
    return SOME_FAILED if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
