"""A runner of the training command in this process, and the check of its answer to bad input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

TINY = "--p 7 --train-frac 0.5 --d-model 8 --n-heads 2 --steps 2 --threads 1 --device cpu".split()


def runner(folder: Path, capsys: Any) -> Callable[..., tuple[Any, list[str], list[str]]]:
    """``run(*argv)``: exit status, lines of standard output, lines of standard error; runs go to ``folder/out``."""
    from train.run import main

    def go(*argv: Any, out: bool = True) -> tuple[Any, list[str], list[str]]:
        try:
            status = main([*map(str, argv), *(["--out", str(folder / "out")] if out else [])])
        except SystemExit as stop:  # as --help does
            status = stop.code
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return go


def assert_one_line(result, words, expected=2):
    status, out, err = result
    assert (status, len(err)) == (expected, 1), err
    assert out == []
    assert err[0].startswith("error: ")
    assert "Traceback" not in err[0]
    for word in words:
        assert word in err[0], err[0]
