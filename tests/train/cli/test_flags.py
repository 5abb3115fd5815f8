"""Command lines before parsing, and conflicting flags, over every command."""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import pytest


@dataclass(frozen=True)
class Inner:
    """A part of the flags, whose names get no prefix."""

    n_layers: int = 1
    size: int | Literal["power"] | None = None
    lr: float = 0.1


@dataclass(frozen=True)
class Command:
    """A command with flags of each kind."""

    inner: Inner = Inner()
    only: tuple[str, ...] = ()
    key_freqs: tuple[int, ...] = ()
    out: str = ""
    quiet: bool = False


@pytest.mark.parametrize(
    ("argv", "tidied"),
    [
        ("--n-layers 4e1", "--n-layers 40"),
        ("--n_layers=4e1", "--n_layers=40"),
        ("--n-layers 40_000", "--n-layers 40000"),
        ("--n-layers -4.0", "--n-layers -4"),
        ("--n-layers 1 --n-layers 2", "--n-layers 1 --n-layers 2"),
        ("--size power", "--size power"),
        ("--size None", "--size None"),
        ("--size 5.12e2", "--size 512"),
        ("--lr 4e1", "--lr 4e1"),
        ("--out 4e1", "--out 4e1"),
        ("--out a,b", "--out a,b"),
        ("--only a,b", "--only a b"),
        ("--only=a,b c", "--only a b c"),
        ("--only a --quiet --only b,c", "--quiet --only a b c"),
        ("--key-freqs 3,5 --key_freqs 7e0", "--key-freqs 3 5 7"),
        ("--no-quiet", "--no-quiet"),
        ("RUN --only a", "RUN --only a"),
        ("--help", "--help"),
    ],
)
def test_tidied(argv, tidied):
    from train.cli.flags import tidy

    assert tidy(Command, argv.split(), "x") == tidied.split()
    assert tidy(Command, tidied.split(), "x") == tidied.split()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("--n-layers 4.5", "--n-layers 4.5 is not allowed; it must be a whole number"),
        ("--n-layers 1e400", "--n-layers 1e400 is not allowed"),
        ("--n-layers 40,000", "(write 40_000)"),
        ("--size half", "--size half is not allowed"),
        ("--key-freqs 3,x", "--key-freqs x is not allowed"),
        ("--layers 3", "unknown option --layers; did you mean --n-layers?"),
        ("--learning-rate=3", "unknown option --learning-rate; did you mean --lr?"),
        ("--LR 3", "unknown option --LR; did you mean --lr?"),
        ("--no-out", "unknown option --no-out"),
    ],
)
def test_refused(argv, says):
    from train.cli.flags import tidy
    from train.errors import UsageError

    with pytest.raises(UsageError, match=re.escape(says)):
        tidy(Command, argv.split(), "x")


CLASHES = {
    "train.sweep.__main__": {
        "x.toml --dry-run --quiet": "--dry-run and --quiet do not go together",
        "x.toml --engine slurm --workers 2": "--workers are processes of this machine",
        "x.toml --address tcp://a:1": "--engine dask and --address",
        "x.toml --engine dask": "--engine dask and --address",
        "x.toml --epochs 3": "unknown option --epochs",
    },
    "train.scaling.__main__": {
        "--list --quiet": "--list prints and exits, so --quiet would do nothing",
        "narrow --list": "--list prints and exits, so NAME would do nothing",
        "hard-lazy --seed 3": "seed = 3 does nothing here",
        "narrow --learning-rate 3": "did you mean --eta?",
        "narrow --steps 4.5": "--steps 4.5 is not allowed",
    },
    "interp.report": {
        "--list RUN": "--list prints and exits, so RUN would do nothing",
        "--list --only logits": "--list prints and exits, so --only would do nothing",
        "RUN --sections logits": "did you mean --only?",
        "RUN --only logits,overvew": "unknown section 'overvew'; did you mean 'overview'",
        "RUN --output x": "did you mean --out?",
        "RUN --with-runs": "--with-runs is for the report of a sweep",
    },
    "interp.measures.__main__": {
        "--list RUN": "--list prints and exits, so RUN would do nothing",
        "--list --json": "--list prints and exits, so --json would do nothing",
        "RUN --table x.csv --json": "--table and --json do not go together",
        "RUN --table x.csv --step 3": "--table and --step do not go together",
        "RUN --step 3.5": "--step 3.5 is not allowed",
    },
    "interp.scaling.__main__": {
        "flow --alpha 2 --beta 1 --gamma 0 --t-max 9 --seed 3": "seed = 3 does nothing here: it draws A(0) of a width",
    },
}
CASES = [(module, argv, says) for module, several in CLASHES.items() for argv, says in several.items()]


@pytest.mark.parametrize(("module", "argv", "says"), CASES, ids=[f"{m} {a}" for m, a, _ in CASES])
def test_no_flag_of_a_command_is_ignored(tmp_path, monkeypatch, capsys, module, argv, says):
    monkeypatch.chdir(tmp_path)
    status = import_module(module).main(argv.split())
    out, err = capsys.readouterr()
    assert (status, out, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith("error: ") and says in err
    assert list(tmp_path.iterdir()) == []


def test_threads_are_the_cpus():
    import torch

    from train.cli.arguments import threads_set
    from train.errors import UsageError

    with pytest.raises(UsageError, match="--threads are the CPU's and the run is on cuda:1"):
        with threads_set(2, torch.device("cuda:1")):
            pass
    with threads_set(None, torch.device("cuda:1")):
        pass


def test_every_word_is_one_settings_and_names_are_ours():
    from train import hints
    from train.algebra.operations import OPERATIONS
    from train.cli.flags import types_of
    from train.config.run import RunConfig
    from train.run import Options
    from train.scaling.config import ScalingConfig

    commands = ["interp.report", "interp.measures.__main__", "train.sweep.__main__"]
    kinds = [RunConfig, Options, ScalingConfig, *(import_module(name).Options for name in commands)]
    known = set().union(*map(types_of, kinds))
    assert set(hints.SETTINGS) <= known
    assert set(hints.OPERATIONS) <= set(OPERATIONS)
    words = [word for several in hints.OPERATIONS.values() for word in several]
    assert len(words) == len(set(words)) and not set(words) & set(OPERATIONS)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("run.json", "is a part of a run: give the run's directory"),
        ("log.jsonl", "is a part of a run: give the run's directory"),
        ("steps", "is a part of a run: give the run's directory"),
        ("steps/00000000.safetensors", "is a part of a run: give the run's directory"),
    ],
)
@pytest.mark.parametrize("module", ["interp.report", "interp.measures.__main__"])
def test_a_part_of_a_run_names_the_run(tiny_run, capsys, module, what, says):
    assert import_module(module).main([str(tiny_run / what)]) == 2
    err = capsys.readouterr().err
    assert f"{tiny_run / what} {says}, {tiny_run}" in err and len(err.splitlines()) == 1


def test_a_folder_without_runs_says_what_is_missing(tmp_path, capsys):
    from interp.report import main

    assert main([str(tmp_path)]) == 2
    assert "there is no run.json in it or in a folder of it (it is empty)" in capsys.readouterr().err
    (tmp_path / "steps").mkdir()
    assert main([str(tmp_path)]) == 2
    assert "(it holds steps)" in capsys.readouterr().err
    (tmp_path / "sweep.json").write_text("{}")
    assert main([str(tmp_path / "sweep.json")]) == 2
    assert f"is a part of a sweep: give the sweep's directory, {tmp_path}" in capsys.readouterr().err
